import pytest
import torch

from cellprism.errors import InputError
from cellprism.sae.centre import group_means


def test_means_equal_a_loop_and_do_not_depend_on_the_batches():
    generator = torch.Generator().manual_seed(0)
    x, group = torch.randn(101, 13, generator=generator), torch.randint(0, 7, (101,), generator=generator)
    group[group == 4] = 5
    whole = group_means([(x, group)], 7)
    for g in (0, 1, 2, 3, 5, 6):
        torch.testing.assert_close(whole[g], x[group == g].mean(0))
    torch.testing.assert_close(whole[4], x.mean(0))  # a group that was never seen
    torch.testing.assert_close(group_means(zip(x.split(11), group.split(11), strict=True), 7), whole)


def test_no_vectors_have_no_means():
    with pytest.raises(InputError, match="the stream of batches is empty"):
        group_means([], 7)
