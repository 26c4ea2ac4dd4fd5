"""What is trained for the page on video: its clips, its grids, its turns, and what was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from benchmarks import video
from companion.data import load_measurements

pytestmark = pytest.mark.tensorflow

HELD = len(video.HELD) * video.HELD_EACH


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return load_measurements("video")


def few(number: int, seed: int) -> tuple[Any, Any]:
    """Return made-up clips (number, 5, 4, 4) whose mean tells their direction, more or less."""
    rng = np.random.default_rng(seed)
    ways = rng.integers(0, 8, number)
    film = ways[:, None, None, None] + rng.normal(0, 2, (number, 5, 4, 4))
    return film.astype("float32"), ways


class Recorder:
    """A network that learns nothing: it notes what it is shown and says what it is told to."""

    def __init__(self, scores: Any = None) -> None:
        self.scores, self.seen = scores, list[tuple[Any, ...]]()
        self.rate: Any = None

    def compile(self, optimizer: Any, loss: Any) -> None:
        self.rate = optimizer._learning_rate
        assert loss.get_config()["from_logits"]

    def fit(self, film: Any, directions: Any, batch_size: int, verbose: int) -> None:
        self.seen.append((film.shape, directions.tolist(), batch_size))

    def predict(self, film: Any, batch_size: int, verbose: int) -> Any:
        self.seen.append((film.shape, batch_size))
        return self.scores

    def count_params(self) -> int:
        return 12


def test_a_part_is_the_pages_clips_of_each_seed_in_turn() -> None:
    film, ways = video.part([7, 9], [6, 7], [1, 3], 6)
    assert film.shape == (12, 5, 40, 40)
    assert film.dtype == np.float32
    for seed, rows in ((7, slice(6)), (9, slice(6, 12))):
        expected, directions = video.page()["clips"](seed, [6, 7], [1, 3], 6)
        np.testing.assert_array_equal(film[rows], expected.astype("float32"))
        np.testing.assert_array_equal(ways[rows], directions)


def test_nothing_that_is_asked_about_is_learned_from_or_chosen_by() -> None:
    asked = {seed for seed, _ in video.ASKED.values()}
    assert not set(video.LEARN) & {*video.HELD, *asked}
    assert not set(video.HELD) & asked
    assert video.ASKED == {"new speed": (5, [2]), "known speeds": (6, [1, 3])}  # as on the page


def test_settings_are_chosen_by_sixes_and_sevens_at_the_learned_speeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(video, "part", lambda *given: given)
    assert video.held.__wrapped__() == (video.HELD, [6, 7], [1, 3], 600)


def test_the_same_clips_are_asked_about_backwards_and_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def part(seeds: Any, classes: Any, speeds: Any, each: int) -> Any:
        assert (list(classes), each) == ([8, 9], 1000)
        return few(6, *seeds)[0] + sum(speeds), None

    monkeypatch.setattr(video, "part", part)
    found = video.asked()
    assert list(found) == ["new speed", "known speeds", "backwards", "mixed"]
    new = few(6, 5)[0] + 2
    np.testing.assert_array_equal(found["new speed"], new)
    np.testing.assert_array_equal(found["known speeds"], few(6, 6)[0] + 4)
    for frame in range(5):
        np.testing.assert_array_equal(found["backwards"][:, frame], new[:, 4 - frame])
        np.testing.assert_array_equal(found["mixed"][:, frame], new[:, video.MIXED[frame]])
    assert sorted(video.MIXED) == [0, 1, 2, 3, 4]
    assert not {1, -1} & set(np.diff(video.MIXED).tolist())  # no two neighbours stay together


def test_a_direction_is_one_letter_from_a_to_h() -> None:
    assert video.letters(np.arange(8)) == "abcdefgh"
    assert video.letters([7.0, 0.0]) == "ha"


@pytest.mark.parametrize(("scale", "least"), [(0.03, 0.01), (1000, 0.001)])
def test_a_linear_view_learns_from_all_sets_with_the_penalty_that_held_clips_choose(
    scale: float, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def part(seeds: Any, classes: Any, speeds: Any, each: int) -> Any:
        assert (list(classes), speeds, each) == ([0, 1, 2, 3, 4, 5], [1, 3], video.EACH)
        (seed,) = seeds
        return few(40, seed)

    def view(film: Any) -> Any:
        return scale * film[:, 1:3].reshape(len(film), -1)  # large: no penalty changes anything

    kept, asked = few(50, 1), {"new speed": few(9, 2)[0], "mixed": few(9, 3)[0]}
    monkeypatch.setattr(video, "part", part)
    monkeypatch.setattr(video, "LEARN", range(100, 103))
    monkeypatch.setattr(video, "held", lambda: kept)
    monkeypatch.setattr(video, "asked", lambda: asked)
    found = video.fitted(view)
    sets = [few(40, seed) for seed in (100, 101, 102)]
    x = np.concatenate([view(film) for film, _ in sets])
    y = np.concatenate([ways for _, ways in sets])
    expected = {p: RidgeClassifier(alpha=p).fit(x, y) for p, _ in found["grid"]}
    for penalty, share in found["grid"]:
        assert share == np.mean(expected[penalty].predict(view(kept[0])) == kept[1])
    values = [p for p, _ in found["grid"]]
    assert np.allclose(values, least * 10.0 ** np.arange(len(values)))
    assert {*video.PENALTIES} <= {*values}
    assert dict(found["grid"])[found["penalty"]] == max(share for _, share in found["grid"])
    best = expected[found["penalty"]]
    assert found["said"] == {
        way: video.letters(best.predict(view(film))) for way, film in asked.items()
    }


def test_the_network_sees_each_set_once_while_its_rate_falls_to_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder, built = Recorder(), list[int]()

    def build(filters: int) -> Recorder:
        built.append(filters)
        return recorder

    def part(seeds: Any, classes: Any, speeds: Any, each: int) -> Any:
        assert (list(classes), speeds, each) == ([0, 1, 2, 3, 4, 5], [1, 3], 7)
        return few(each, *seeds)

    monkeypatch.setattr(video, "page", lambda: {"build_watcher": build})
    monkeypatch.setattr(video, "part", part)
    monkeypatch.setattr(video, "LEARN", range(3))
    monkeypatch.setattr(video, "EACH", 7)
    monkeypatch.setattr(video, "BATCH_SIZE", 4)
    assert video.learn(16, 0.02, 1) is recorder
    assert built == [16]
    assert recorder.seen == [((7, 5, 4, 4, 1), few(7, seed)[1].tolist(), 4) for seed in range(3)]
    steps = 3 * 2  # seven clips are a batch of four and one of three
    assert float(recorder.rate(0)) == pytest.approx(0.02)
    assert float(recorder.rate(steps // 2)) == pytest.approx(0.01)
    assert float(recorder.rate(steps)) == pytest.approx(0, abs=1e-9)
    assert float(recorder.rate(steps - 1)) > 0


def test_the_network_names_the_direction_with_the_highest_score() -> None:
    scores = np.eye(8)[[3, 0, 7]] - 2.0
    scores[1, 5] = 3.0
    recorder = Recorder(scores)
    assert video.says(recorder, few(3, 0)[0]).tolist() == [3, 5, 7]
    assert recorder.seen[0][0] == (3, 5, 4, 4, 1)


def rate_and_filters(rate: float, filters: float) -> float:
    """Return a share that is highest for a rate of 0.01 and for 16 filters."""
    return float(0.9 - 0.1 * abs(np.log(rate / 0.01)) - 0.01 * abs(np.log2(filters / 16)))


def test_rates_are_tried_first_then_sizes_and_three_seeds_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained, truth = list[tuple[int, float, int]](), np.arange(1000) % 8

    def learn(filters: int, rate: float, seed: int) -> Any:
        trained.append((filters, rate, seed))
        return Recorder((filters, rate, seed))

    def says(model: Any, film: Any) -> Any:
        filters, rate, seed = model.scores
        if isinstance(film, str):
            return [len(film) + seed]
        right = round(1000 * rate_and_filters(rate, filters))
        return np.where(np.arange(1000) < right, truth, (truth + 1) % 8)

    monkeypatch.setattr(video, "learn", learn)
    monkeypatch.setattr(video, "says", says)
    monkeypatch.setattr(video, "held", lambda: (np.zeros(1000), truth))
    monkeypatch.setattr(video, "asked", lambda: {"new speed": "a", "mixed": "abc"})
    found = video.network()
    assert found["setting"] == {"filters": 16, "learning_rate": 0.01}
    assert [rate for rate, _ in found["rates"]] == [0.001, 0.003, 0.01, 0.03]
    assert [size for size, _ in found["filters"]] == [4, 8, 16, 32]
    for rate, share in found["rates"]:
        assert share == pytest.approx(rate_and_filters(rate, 8), abs=5e-4)
    for size, share in found["filters"]:
        assert share == pytest.approx(rate_and_filters(0.01, size), abs=5e-4)
    assert found["weights"] == 12
    assert found["said"] == [{"new speed": x, "mixed": y} for x, y in ("bd", "ce", "df")]
    tried = [one for one in trained if one[2] == 0]
    assert tried.count((8, 0.01, 0)) == 1  # the size at which rates were tried is not tried again
    assert trained[-3:] == [(16, 0.01, seed) for seed in range(3)]
    assert len(found["cpu_seconds"]) == 3


def test_the_methods_take_turns_and_only_later_rounds_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, turns = [0.0], list[str]()

    def takes(name: str, seconds: float) -> Callable[..., Any]:
        def way(*_: Any) -> Any:
            turns.append(name)
            clock[0] += seconds * (100 if len(turns) <= 3 * video.FIRST else 1)
            return np.zeros((video.TIMED, 2))

        return way

    page: dict[str, Any] = {"build_watcher": lambda filters: f"{filters} filters"}
    page |= {"best_shift": takes("rule", 0.02), "VIEWS": {"difference": takes("difference", 0.001)}}
    setting = {"network": {"setting": {"filters": 32}}}
    monkeypatch.setattr(video, "page", lambda: page)
    monkeypatch.setattr(video, "part", lambda *_: (np.zeros((200, 5, 40, 40)), None))
    monkeypatch.setattr(video, "read_evidence", lambda file: setting)
    monkeypatch.setattr(
        video, "says", lambda model, film: takes("network", 0.31)() if model == "32 filters" else 0
    )
    monkeypatch.setattr("time.process_time", lambda: clock[0])
    found = video.speed()
    fitted, *rest = turns
    assert fitted == "difference"  # the linear view is fitted before the rounds
    assert rest == ["rule", "difference", "network"] * (video.FIRST + video.ROUNDS)
    assert [found[name] for name in ("clips", "frames", "side")] == [200, 5, 40]
    for name, seconds in {"rule": 0.02, "difference": 0.001, "network": 0.31}.items():
        assert found["seconds"][name] == [pytest.approx(seconds, rel=0.005)] * video.ROUNDS


def answers(stored: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Return what each linear view and each network said."""
    yield from (run["said"] for run in stored["linear"].values())
    yield from stored["network"]["said"]


def numbers(letters: str) -> Any:
    return np.array([ord(letter) - ord("a") for letter in letters])


def test_every_way_answered_a_thousand_clips_four_times(stored: dict[str, Any]) -> None:
    assert list(stored["linear"]) == list(video.page()["VIEWS"])
    assert len(stored["network"]["said"]) == len(stored["network"]["cpu_seconds"]) == 3
    for said in answers(stored):
        assert list(said) == ["new speed", "known speeds", "backwards", "mixed"]
        assert {len(letters) for letters in said.values()} == {1000}
        assert set("".join(said.values())) <= set("abcdefgh")


def test_every_stored_share_is_a_count_of_the_held_clips(stored: dict[str, Any]) -> None:
    grids = [run["grid"] for run in stored["linear"].values()]
    grids += [stored["network"]["rates"], stored["network"]["filters"]]
    for grid in grids:
        values, shares = zip(*grid, strict=True)
        assert list(values) == sorted(set(values))
        assert np.allclose(HELD * np.array(shares), np.rint(HELD * np.array(shares)), atol=1e-6)
        assert shares.index(max(shares)) < len(grid) - 1  # more of it was tried and not better


def test_the_stored_settings_are_the_best_of_their_grids(stored: dict[str, Any]) -> None:
    chosen = [(run["penalty"], run["grid"]) for run in stored["linear"].values()]
    network = stored["network"]
    chosen += [(network["setting"]["learning_rate"], network["rates"])]
    chosen += [(network["setting"]["filters"], network["filters"])]
    for value, grid in chosen:
        assert dict(grid)[value] == max(share for _, share in grid)
        assert grid[0][0] < value < grid[-1][0]
    at_start = dict(network["filters"])[video.START]
    assert at_start == dict(network["rates"])[network["setting"]["learning_rate"]]


def test_the_stored_network_has_the_weights_of_the_pages_layers(stored: dict[str, Any]) -> None:
    n = stored["network"]["setting"]["filters"]
    first, second, last = 3 * 5 * 5 * n + n, 3**3 * n * 2 * n + 2 * n, 2 * n * 8 + 8
    assert stored["network"]["weights"] == first + second + last
    assert video.page()["build_watcher"](n).count_params() == first + second + last


def test_one_frame_says_the_same_of_a_clip_backwards(stored: dict[str, Any]) -> None:
    said = stored["linear"]["one frame"]["said"]
    assert said["backwards"] == said["new speed"]
    assert said["mixed"] != said["new speed"]


def test_backwards_the_networks_name_the_opposite_of_the_rules_directions(
    stored: dict[str, Any],
) -> None:
    film = video.part([5], [8, 9], [2], 1000)[0]
    ways = video.page()["best_shift"](film)
    for said in stored["network"]["said"]:
        assert np.mean(numbers(said["new speed"]) == ways) > 0.99
        assert np.mean(numbers(said["backwards"]) == (ways + 4) % 8) > 0.99


def test_every_round_of_the_stored_speed_is_there(stored: dict[str, Any]) -> None:
    speed = stored["speed"]
    assert [speed[name] for name in ("clips", "frames", "side")] == [video.TIMED, 5, 40]
    assert sorted(speed["seconds"]) == ["difference", "network", "rule"]
    for seconds in speed["seconds"].values():
        assert len(seconds) == video.ROUNDS
        assert 0 < min(seconds) <= max(seconds) < 1
