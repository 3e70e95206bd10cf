"""The large run that is made up for the atlas's bench is one that the atlas takes."""

from bench_atlas import large_run, made


def test_a_made_up_run_becomes_an_atlas(tmp_path):
    run = large_run(tmp_path / "run", features=40, cells=200, genes=60)
    sizes = made(run, tmp_path / "site", pages=3)
    assert sizes["bytes_of_first_view"] > sizes["bytes_of_index"] > 1000
    assert (tmp_path / "site" / "index.html").is_file()
