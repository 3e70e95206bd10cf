"""The model's scores on the page."""

from dataclasses import replace

import pytest

from cellprism.studies.assess.claims import claims as claims_of
from cellprism.studies.assess.figures import error_figure, gain_figure
from cellprism.studies.assess.page import section


def test_the_title_of_the_errors_follows_the_paired_differences(page):
    found, context = page.found["assess"], page.context
    assert "not clearly better than mean of the cell's own type" in page.figures["held-out-error"].title
    held_out = {n: replace(m, behind=(-0.1, 0.1)) for n, m in found.held_out.items()}
    level = replace(found, held_out=held_out)
    drawn = section(level, claims_of(level, context), context)
    assert drawn.rows[0][0].title == "The model beats no baseline"
    assert error_figure(replace(found, held_out={}), {}, ()) is None


def test_how_far_a_rival_lies_behind_is_counted_in_the_gene_means_error(page):
    assert page.found["assess"].held_out["ridge"].behind == pytest.approx((0.009, 0.017))


def test_what_is_removed_is_what_is_not_left(page):
    for row in page.found["assess"].held_out.values():
        assert row.removed == 1 - row.value


def test_a_model_of_another_kind_has_no_gains(page):
    assert gain_figure(page.found["assess"], {}, ()) is None
