import hashlib

from axia.evals.seeds import MAX_SEED, completion_seed, sample_seed


def test_seeds_follow_from_what_is_asked_and_differ_where_it_does() -> None:
    seeds = {
        sample_seed(base, sample, epoch, turn)
        for base in (0, 1)
        for sample in ("a", "b")
        for epoch in (1, 2)
        for turn in ("0", "1")
    }
    assert len(seeds) == 16
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    assert sample_seed(0, "a", 1) == sample_seed(0, "a", 1)
    assert sample_seed(0, "a", 1, small=True) < 2**31


def test_parts_can_not_run_into_each_other() -> None:
    assert sample_seed(1, "1", 1) != sample_seed(11, "", 1)


def test_choices_have_the_seeds_that_the_gateway_gives_completions() -> None:
    digest = hashlib.sha256(b"picture").hexdigest()
    assert len({completion_seed(5, index, digest) for index in range(8)}) == 8
