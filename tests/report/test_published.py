from cellprism.report.published import AIDO_100M, NUMBERS


def test_every_number_stands_with_its_model():
    assert all(number.model and number.text for number in NUMBERS.values())


def test_numbers_agree_with_the_papers():
    expected = {
        "annotated-features": 0.64,
        "annotated-neurons": 0.34,
        "closer-latent": 0.81,
        "gap-up": 0.70,
        "gap-down": 0.65,
        "farther-expression": 0.83,
        "recipe-latent-0.3": 51,
        "recipe-latent-0.5": 16,
        "recipe-expression-0.5": 77,
        "sae-error": 1.35,
        "stability": 0.30,
    }
    for name, value in expected.items():
        assert abs((NUMBERS[name].value or 0) - value) < 0.005, name


def test_a_share_is_given_as_a_share_and_says_so_in_its_words():
    for number in NUMBERS.values():
        if number.value is not None and "%" in number.text.split(" ")[1:2]:
            assert f"{100 * number.value:.0f} %" in number.text


def test_the_site_is_named_by_its_index_and_its_place():
    assert "layer 12" in AIDO_100M
    assert "13th of 18" in AIDO_100M
