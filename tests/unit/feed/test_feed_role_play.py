"""Role-play in virtual time, and the truth that it is compared with."""

import random

import pytest

from feed import FeedError
from feed.demo_videos import DemoVideos
from feed.personas import FOLDER, Persona, load
from feed.platforms import PLATFORMS
from feed.role_play import Manner, Run, Seen, agreement, play, seed_of
from feed.session import Session
from feed.truth import known_effect, known_effects, prediction_interval
from feed.viewers import Always, ByChance, ByTruth

VIDEOS = DemoVideos().videos
TIKTOK = PLATFORMS["tiktok"]
LUXURY = load(FOLDER / "luxury-lover.toml")


def run_of(*phases: str) -> Run:
    answers = {"y": True, "n": False, "?": None}
    return Run(tuple(Seen(str(n), answers[one]) for n, one in enumerate("".join(phases))), len(phases[0]))


def test_the_change_is_that_of_the_share_of_yes_in_percent() -> None:
    run = run_of("yynnn", "yyyyy", "yyynn")
    assert (run.before, run.after, run.change) == (0.4, 0.6, pytest.approx(50.0))


def test_answers_that_cannot_be_read_count_neither_way() -> None:
    run = run_of("y?n?", "yyyy", "y?y?")
    assert (run.before, run.after, run.undecided) == (0.5, 1.0, 4)


def test_the_same_answer_throughout_is_not_measurable() -> None:
    assert run_of("yy", "yy", "yy").not_measurable == "every answer was yes"
    assert run_of("nn", "n?", "nn").not_measurable == "every answer was no"
    assert run_of("yn", "yy", "??").not_measurable == "no answer could be read in a phase"
    assert run_of("yy", "yy", "yy").change is None


def test_a_share_of_0_before_gives_no_change() -> None:
    run = run_of("nn", "ny", "yy")
    assert (run.not_measurable, run.change, run.before) == ("", None, 0.0)


def test_a_viewer_who_decides_by_the_truth_is_shown_more_of_what_it_likes() -> None:
    run = play(Session(TIKTOK, VIDEOS, 4), ByTruth(LUXURY), phase=20)
    assert run.after is not None
    assert run.before is not None
    assert run.after > run.before + 0.3
    right = ByTruth(LUXURY)
    by_id = {video.id: video for video in VIDEOS}
    assert agreement(run, [right.stays(by_id[one.video], 0) for one in run.seen]) == 1.0


def test_the_baseline_is_the_same_whatever_the_persona_thinks() -> None:
    runs = [play(Session(TIKTOK, VIDEOS, 4), viewer, phase=10) for viewer in (Always(True), Always(False))]
    first, second = ([one.video for one in run.seen] for run in runs)
    assert first[:11] == second[:11]
    assert first != second


def test_likes_teach_as_documented() -> None:
    runs = [
        play(Session(PLATFORMS["instagram"], VIDEOS, 4), ByTruth(LUXURY), phase=10, manner=Manner(like_every=every))
        for every in (0, 1)
    ]
    assert runs[0].seen != runs[1].seen


def test_a_feed_that_ends_too_early_is_told() -> None:
    with pytest.raises(FeedError, match=r"ended after 7 videos, but three phases of 50 need 150.*--phase 2"):
        play(Session(TIKTOK, VIDEOS, 1, ends_after=7), Always(True))
    with pytest.raises(FeedError, match="at least 3"):
        play(Session(TIKTOK, VIDEOS, 1, ends_after=2), Always(True))


def test_chance_answers_half_yes_and_the_same_again() -> None:
    answers = [ByChance(7).stays(video, step) for step, video in enumerate(VIDEOS)]
    assert answers == [ByChance(7).stays(video, step) for step, video in enumerate(VIDEOS)]
    assert 0.4 < sum(answers) / len(answers) < 0.6


def test_the_truth_is_the_same_again_and_needs_weights_and_values() -> None:
    first = known_effect(LUXURY, TIKTOK, VIDEOS, sessions=39, phase=20)
    assert [first] == known_effects([LUXURY], [TIKTOK], VIDEOS, sessions=39, phase=20)
    assert first.interval.low <= first.change <= first.interval.high
    assert first.prediction.low <= first.change <= first.prediction.high
    with pytest.raises(FeedError, match="truth is not known"):
        known_effect(Persona("p", ("I cook.",), None), TIKTOK, VIDEOS, sessions=39, phase=2)
    with pytest.raises(FeedError, match="at least 39"):
        known_effect(LUXURY, TIKTOK, VIDEOS, sessions=10)


def test_an_i_at_the_end_of_the_range_is_in_it_however_it_was_rounded() -> None:
    effect = known_effect(LUXURY, TIKTOK, VIDEOS, sessions=39, phase=20)
    low, high = effect.prediction.low, effect.prediction.high
    assert effect.expects(low * (1 - 1e-15) - 1e-14)
    assert effect.expects(high * (1 + 1e-15) + 1e-14)
    assert not effect.expects(low - 0.01)
    assert not effect.expects(high + 0.01)


def test_a_persona_that_likes_nothing_has_no_known_effect() -> None:
    nothing = Persona("p", ("I like nothing.",), dict.fromkeys(LUXURY.needed_weights(), 0))
    with pytest.raises(FeedError, match="I is defined in only 0 of 39 sessions"):
        known_effect(nothing, TIKTOK, VIDEOS, sessions=39, phase=2)


def test_the_prediction_interval_holds_one_more_draw_as_often_as_it_says() -> None:
    rng = random.Random(1)
    inside = 0
    for _ in range(2000):
        draws = [rng.expovariate(1) for _ in range(79)]
        interval = prediction_interval(draws)
        inside += interval.low <= rng.expovariate(1) <= interval.high
    assert 0.93 < inside / 2000 < 0.97


def test_seeds_differ_by_every_part() -> None:
    assert len({seed_of("a", 1), seed_of("a", 2), seed_of("b", 1)}) == 3
