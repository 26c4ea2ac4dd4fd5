"""What a reader asks of a page's network or search: the answers of Python, and clear words."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import wave
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from axe_playwright_python.base import AXE_SCRIPT

from benchmarks import assistant
from companion import data
from companion.teaching import differentiate
from tests.formulas import random_formula
from tests.site.conftest import Site
from tests.site.networks import NETWORKS, Array, Network
from tests.site.visits import AXE_OPTIONS, Visit, open_page, overflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

CLOSE = 1e-4
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
WORDS = [network for network in NETWORKS if network.data["kind"] == "words"]
PICTURES = [network for network in NETWORKS if network.data["kind"] == "picture"]
TEXTS = [
    "Not good.",
    "NOT\tgood",
    "This coffee tastes awful; don't buy it!",
    "a\u00a0good\r\ntea",
    "\u0130s it good? good\U0001f375tea",
    "good " * 150 + "bad",
]
# (what is typed, what the answer says)
ODD_TEXTS = [
    ("", "type a review first"),
    (" \n\t.,;", "type a review first"),
    ("\U0001f375\u2764\ufe0f", "knows none of these words"),
    ("这个茶很好喝", "knows none of these words"),
    ("asdf qwer zxcv", "knows none of these words"),
    ("a" * 1_000_000, "knows none of these words"),
    ("good " * 200_000, "probability of"),
]
WRITERS = [network for network in NETWORKS if network.data["kind"] == "text"]
STARTS = [
    "HAMLET\nTo be, or",
    "  two  blanks\t\r\n\x1c\x85\u3000end",
    "Straße, naïve; ²½ a_b-c 中文字 \U0001f375!",
    "to be " * 60,
    "x" * 300,
]
# (what is typed, what the answer says)
ODD_STARTS = [
    ("", "type the start of a line first"),
    (" \n\t", "type the start of a line first"),
    ("\U0001f375\u2764\ufe0f", "\U0001f375"),
    ("这个茶很好喝", "这个茶很好喝"),
    ("a" * 1_000_000, "aaa"),
    ("good " * 200_000, "good"),
]
SEARCHES = [network for network in NETWORKS if network.data["kind"] == "search"]
FORMULAS = [network for network in NETWORKS if network.data["kind"] == "formula"]
SPEECH = [network for network in NETWORKS if network.data["kind"] == "speech"]
TRAINED = [network for network in NETWORKS if network not in SEARCHES + FORMULAS]
QUESTIONS = [
    *(one["question"] for part in assistant.questions().values() for one in part),
    "BM25 bm25 BM-25?",
    "\u0130STANBUL na\u00efve \u03a3\u0391\u03a3 stra\u00dfe x\u00b2 a_b",
    "the the the model",
    "gradient " * 50 + "loss",
]
# (what is typed, what the answer says)
ODD_QUESTIONS = [
    ("", "type a question first"),
    (" \n\t.,;_", "type a question first"),
    ("\U0001f375\u2764\ufe0f", "type a question first"),
    ("这个茶很好喝", "Nothing in the course has these words"),
    ("asdf qwer zxcv", "Nothing in the course has these words"),
    ("a" * 1_000_000, "Nothing in the course has these words"),
    ("gradient " * 120_000, "share a word with the question"),
    ("zxcv gradient", "Not in the course: “zxcv”."),
    ("<img src=x onerror=alert(1)> gradient", "share a word with the question"),
]

# (what is typed, what the answer says)
ODD_FORMULAS = [
    ("", "There is no formula: type one first"),
    (" \n;# nothing", "There is no formula: type one first"),
    ("\U0001f375", "“\U0001f375” is not known here"),
    ("导数", "“导” is not known here"),
    ("x", "“x” has no value yet: set it in a line before"),
    ("x = 2; x ^ 2", "Write ** for a power"),
    ("x = 2; x ** x", "An exponent must be a number"),
    ("x = 2; x ** 2 ** 3", "An exponent must be a number"),
    ("x = 2; x; x", "only the last line may do without one"),
    ("x = 2; x = 3", "“x” is set twice"),
    ("tanh = 2; tanh", "is a function: take another name"),
    ("sin(1)", "“sin” is no function here"),
    ("x = 2; x 3", "cannot be read from “3” on"),
    ("x = 2; (x", "A bracket is not closed"),
    ("x = 2; x * ", "Something is missing at the end of a line"),
    ("x = 2; () + x", "Something is missing before “)”"),
    ("1 / 0", "is no finite number"),
    ("log(-1)", "The result of log is no finite number"),
    ("exp(1000)", "The result of exp is no finite number"),
    ("a" * 1_000_000, "1,000,000 characters; at most 2,000 are read"),
    ("(" * 900 + "1" + ")" * 900, "result = 1.000."),
    ("x = 1; " + "+".join(["x"] * 60), "result = 60.000. Slopes: x 60.000."),
    ("<img src=x onerror=alert(1)>", "“<” is not known here"),
]


def each(networks: list[Network]) -> pytest.MarkDecorator:
    names = [f"{network.page}-{network.name}" for network in networks]
    return pytest.mark.parametrize("network", networks, ids=names)


each_network, each_trained, each_search, each_formula, each_speech = map(
    each, (NETWORKS, TRAINED, SEARCHES, FORMULAS, SPEECH)
)
PROBABILITIES = """(figure, texts) => texts.map((text) =>
    figure.form.probability(figure.form.read(text).map(({ id }) => id).filter(Boolean)))"""
LOADED = "[...document.scripts].filter((one) => one.src.includes('/networks/')).length"
# Axe looks at all that is on a page, and the rest of it has been looked at elsewhere.
ALONE = """figure => {
    document.querySelector("article").replaceChildren(figure);
    document.querySelectorAll("[class*=bd-sidebar]").forEach((bar) => bar.remove());
}"""
# More of the list than is shown, so that its order is compared far down.
FINDS = """(figure, questions) => questions.map((question) =>
    figure.form.find(question).slice(0, 20).map(({ place, score }) => [place, score]))"""
HEARS = "(figure, sound) => figure.form.probabilities(Float32Array.from(sound))"
# A tone in place of a microphone, which no test machine has.
MICROPHONE = """() => {
    window.tracks = [];
    navigator.mediaDevices.getUserMedia = async () => {
        const context = new AudioContext();
        const place = context.createMediaStreamDestination();
        const tone = context.createOscillator();
        tone.connect(place);
        tone.start();
        window.tracks.push(...place.stream.getTracks());
        return place.stream;
    };
}"""
READS = "(figure, values) => figure.form.probabilities(Float32Array.from(values))"


def test_there_are_networks_to_ask() -> None:
    assert {network.data["kind"] for network in NETWORKS} >= {"words", "search"}


@each_trained
def test_the_stored_weights_are_whole_and_small(network: Network) -> None:
    content = base64.b64decode(network.data["weights"])
    assert hashlib.sha256(content).hexdigest() == network.data["sha256"]
    assert len(content) == network.data["bytes"] < 2_000_000


def misprinted(network: Network) -> list[str]:
    """The stored answers that are not those of the stored weights, to the printed digit."""
    computed = [network.answer(x) for x in network.inputs()]
    wrong = []
    for answer, text in zip(computed, network.stored, strict=True):
        if network.data["kind"] == "speech":
            wrong += [text] if network.written(answer) != text else []
            continue
        printed = re.findall(r"\d+(?:\.\d+)?", text)[-1]
        unit = 10.0 ** -len(printed.partition(".")[2])
        near = abs(float(printed) - answer.max()) <= 0.5 * unit + CLOSE
        is_named = network.data["kind"] != "picture" or text.startswith(str(answer.argmax()))
        if not (near and is_named):
            wrong.append(text)
    return wrong


@each_trained
def test_the_stored_answers_are_those_of_the_stored_weights(network: Network) -> None:
    assert network.stored
    assert misprinted(network) == []


@each_trained
def test_weights_of_another_training_would_be_noticed(network: Network) -> None:
    content = bytearray(base64.b64decode(network.data["weights"]))
    size = math.prod(network.data["layers"][0]["arrays"][0]["shape"])
    content[:size] = content[:size][::-1]
    others = network.data | {"weights": base64.b64encode(content).decode()}
    assert misprinted(replace(network, data=others))


@pytest.fixture(scope="module")
def pages(browser: Browser, site: Site) -> Iterator[dict[str, tuple[Page, Visit]]]:
    """The pages with networks as they come from a disk, each opened once."""
    found = {}
    for name in dict.fromkeys(network.page for network in NETWORKS):
        visit = Visit()
        base = f"{site.folder.as_uri()}/"
        found[name] = (open_page(browser, base, name, visit, viewport=DESK), visit)
    yield found
    for page, _ in found.values():
        page.context.close()


@pytest.fixture
def figure(network: Network, pages: dict[str, tuple[Page, Visit]]) -> Locator:
    return find(pages[network.page][0], network)


def find(page: Page, network: Network) -> Locator:
    return page.locator(f'figure.network[data-network="{network.name}"]')


def ready(figure: Locator) -> None:
    figure.evaluate("figure => figure.form.ready()")


def asked(figure: Locator) -> int:
    return int(figure.get_attribute("data-asked") or 0)


def wait_for_answer(figure: Locator, before: int) -> str:
    figure.page.wait_for_function(
        "([figure, before]) => Number(figure.dataset.asked) > before",
        arg=[figure.element_handle(), before],
    )
    return figure.locator(".network-result").inner_text()


@each_network
def test_a_key_on_an_example_asks_and_only_then_the_weights_are_loaded(
    network: Network, figure: Locator
) -> None:
    assert figure.page.evaluate(LOADED) == 0
    for i in (0, len(network.stored) - 1):
        before = asked(figure)
        figure.locator(".network-examples button").nth(i).press("Enter")
        said = wait_for_answer(figure, before)
        if network.data["kind"] == "text":
            start = network.data["examples"][i]
            written = network.tokenizer.decode(network.write(start, 20))
            assert said.startswith(start + written.rstrip("�"))
            continue
        if network.data["kind"] == "formula":
            slopes = differentiate(network.data["examples"][i])
            assert [f"{name} {slope:.3f}" for name, (_, slope) in slopes.items()][:-1] == (
                said.replace("−", "-").rstrip(".").split("Slopes: ")[1].split(", ")
            )
            continue
        if network.data["kind"] == "speech":
            assert network.stored[i] in said
            continue
        if network.data["kind"] == "search":
            assert figure.locator(".network-found a").first.inner_text() == network.stored[i]
            continue
        probability = float(network.answer(network.inputs()[i]).max())
        assert f"probability of {probability:.2f}" in said
    assert figure.page.evaluate(LOADED) == 1


@pytest.mark.parametrize("network", WORDS, ids=lambda network: network.name)
def test_the_browser_reads_a_text_as_python_does(network: Network, figure: Locator) -> None:
    ready(figure)
    texts = [*network.data["examples"], *TEXTS]
    shown = figure.evaluate(PROBABILITIES, texts)
    assert shown == pytest.approx(
        [float(network.answer(network.row(text))[0]) for text in texts], abs=CLOSE
    )
    assert len({round(p, 3) for p in shown}) > len(texts) // 2


@pytest.mark.parametrize("network", PICTURES, ids=lambda network: network.name)
def test_the_browser_reads_a_picture_as_python_does(network: Network, figure: Locator) -> None:
    ready(figure)
    noise = np.random.default_rng(0).random(network.inputs()[0].shape, np.float32)
    for picture in [*network.inputs(), noise]:
        shown = figure.evaluate(READS, picture.ravel().tolist())
        assert shown == pytest.approx(network.answer(picture).tolist(), abs=CLOSE)


@pytest.mark.parametrize("network", WRITERS, ids=lambda network: network.name)
def test_the_browser_cuts_and_continues_a_text_as_python_does(
    network: Network, figure: Locator
) -> None:
    ready(figure)
    for start in [*network.data["examples"], *STARTS]:
        ids = network.tokenizer.encode(start)[-network.data["length"] :]
        assert figure.evaluate("(figure, text) => figure.form.read(text)", start) == ids
        shown = figure.evaluate("(figure, ids) => figure.form.probabilities(ids)", ids)
        assert shown == pytest.approx(network.answer(ids).tolist(), abs=CLOSE)
        assert figure.evaluate("(figure, ids) => figure.form.textOf(ids)", ids) in (
            start[-len(network.tokenizer.decode(ids)) :],
            network.tokenizer.decode(ids),
        )


@pytest.mark.parametrize("network", WRITERS, ids=lambda network: network.name)
def test_draws_follow_the_temperature(network: Network, figure: Locator) -> None:
    ready(figure)
    drawn = figure.evaluate(
        """(figure, temperatures) => temperatures.map((temperature) => Array.from(
            { length: 2000 }, () => figure.form.next([0.1, 0.6, 0.3], temperature)))""",
        [0, 0.5, 1],
    )
    assert set(drawn[0]) == {1}
    for draws, temperature in zip(drawn[1:], (0.5, 1), strict=True):
        powers = np.array([0.1, 0.6, 0.3]) ** (1 / temperature)
        counts = np.bincount(draws, minlength=3) / len(draws)
        assert counts == pytest.approx(powers / powers.sum(), abs=0.06)  # five standard errors


@pytest.mark.parametrize("network", WRITERS, ids=lambda network: network.name)
def test_any_start_is_written_on_or_gets_a_clear_sentence(
    network: Network, figure: Locator
) -> None:
    for text, expected in ODD_STARTS:
        figure.locator("textarea").evaluate("(area, text) => { area.value = text; }", text)
        before = asked(figure)
        figure.get_by_role("button", name="Write on").press("Enter")
        assert expected in wait_for_answer(figure, before)
        assert len(figure.inner_text()) < 5_000


@each_search
def test_the_stored_passages_are_whole_small_and_of_this_course(network: Network) -> None:
    kept = {name: network.data[name] for name in ("sections", "passages")}
    content = json.dumps(kept, ensure_ascii=False).encode()
    assert hashlib.sha256(content).hexdigest() == network.data["sha256"]
    assert len(content) == network.data["bytes"] < 2_000_000
    now = {paragraph for one in data.load_course() for paragraph in one.text.split("\n\n")}
    stored = [part for _, text in network.data["passages"] for part in text.split("\n\n")]
    share = sum(part in now for part in stored) / len(stored)
    assert share > 0.9, "the pages have changed: refresh the notebook that keeps their passages"


@each_search
def test_the_browser_ranks_as_python_does(network: Network, figure: Locator) -> None:
    ready(figure)
    scores = network.retriever.scores(QUESTIONS)
    for found, row in zip(figure.evaluate(FINDS, QUESTIONS), scores, strict=True):
        best = np.argsort(-row, kind="stable")[: len(found)]
        assert len(found) == min((row > 0).sum(), 20)
        assert [place for place, _ in found] == best.tolist()
        assert [score for _, score in found] == pytest.approx(row[best].tolist(), abs=CLOSE)


@each_search
def test_the_stored_answers_are_those_of_the_stored_passages(network: Network) -> None:
    best = [network.retriever.search(text, k=1)[0].passage for text in network.data["examples"]]
    named = [" › ".join(dict.fromkeys(filter(None, (one.title, one.heading)))) for one in best]
    assert network.stored == named


@each_search
def test_each_passage_has_an_address_that_the_site_has(network: Network, site: Site) -> None:
    ids = {
        page: set(
            re.findall(r'\bid="([^"]+)"', (site.folder / f"book/{page}.html").read_text("utf-8"))
        )
        for page in {page for page, *_ in network.data["sections"]}
    }
    sections = network.data["sections"]
    gone = [f"{page}#{anchor}" for page, _, _, anchor in sections if anchor not in ids[page]]
    assert gone == [], "refresh the notebook that keeps the passages"


@each_search
def test_a_passage_that_was_found_leads_to_its_section(
    network: Network, browser: Browser, address: str
) -> None:
    page = open_page(browser, address, network.page, Visit(), viewport=DESK)
    figure = find(page, network)
    figure.locator("textarea").fill("How much electricity does training need?")
    figure.locator("textarea").press("Enter")
    wait_for_answer(figure, 0)
    link = figure.locator(".network-found a").first
    name = link.inner_text()
    link.click()
    page.wait_for_load_state()
    anchor = page.evaluate("location.hash.slice(1)")
    heading = page.locator(f"#{anchor}").locator(
        "xpath=ancestor-or-self::section[1]/*[self::h1 or self::h2 or self::h3]"
    )
    assert name.endswith(heading.first.inner_text().rstrip("#").strip())
    page.context.close()


@each_search
def test_any_question_gets_passages_or_a_clear_sentence(network: Network, figure: Locator) -> None:
    for text, expected in ODD_QUESTIONS:
        figure.locator("textarea").evaluate("(area, text) => { area.value = text; }", text)
        before = asked(figure)
        figure.get_by_role("button", name="Search the course").press("Enter")
        assert expected in wait_for_answer(figure, before)
        assert len(figure.inner_text()) < 6_000


@each_formula
def test_the_stored_slopes_are_those_of_the_stored_formulas(network: Network) -> None:
    assert network.stored == [
        ", ".join(f"{name}: {slope:.3f}" for name, (_, slope) in list(found.items())[:-1])
        for found in map(differentiate, network.data["examples"])
    ]


@each_formula
def test_the_browser_differentiates_as_python_does(network: Network, figure: Locator) -> None:
    drawn = [random_formula(np.random.default_rng(seed)) for seed in range(40)]
    formulas = [*network.data["examples"], *drawn, "x = 2; y = x; unused = 1; -x ** -2 / y / 2"]
    found = figure.evaluate(
        "(figure, texts) => texts.map((text) => figure.form.differentiate(text))", formulas
    )
    for formula, names in zip(formulas, found, strict=True):
        expected = differentiate(formula)
        assert list(names) == list(expected)
        for name, pair in expected.items():
            assert names[name] == pytest.approx(list(pair), rel=1e-9, abs=1e-12)


@each_formula
def test_one_step_back_after_the_other_reaches_all_slopes(
    network: Network, figure: Locator
) -> None:
    figure.locator("textarea").fill("x = 3\nx * x + x")
    wait_for_answer(figure, asked(figure))
    slider = figure.locator(".network-walk input")
    slider.focus()
    said = []
    for key in ("Home", "ArrowRight", "ArrowRight"):
        figure.page.keyboard.press(key)
        said.append(figure.locator(".network-result").inner_text())
    assert said == [
        "result = 12.000. Slopes so far: x 0.000.",
        "result = 12.000. Slopes so far: x 1.000.",
        "result = 12.000. Slopes: x 7.000.",
    ]
    assert figure.locator(".network-graph g").count() == 3
    assert figure.locator(".network-graph path.walked").count() == 4


@each_formula
def test_any_formula_gets_its_slopes_or_a_clear_sentence(network: Network, figure: Locator) -> None:
    for text, expected in ODD_FORMULAS:
        figure.locator("textarea").evaluate("(area, text) => { area.value = text; }", text)
        figure.get_by_role("button", name="Differentiate").press("Enter")
        figure.get_by_text(expected).wait_for()
        assert len(figure.inner_text()) < 5_000


@each_speech
def test_the_browser_hears_a_sound_as_python_does(network: Network, figure: Locator) -> None:
    ready(figure)
    rng = np.random.default_rng(0)
    sounds = [*network.sounds, *(rng.normal(0, 0.1, n) for n in (1_601, 16_000, 60_000))]
    sounds += [np.full(250, 0.5), np.ones(1), np.append(0.3 * np.sin(np.arange(20_000) / 3), 1)]
    for sound in sounds:
        kept = sound.astype(np.float32)
        shown = figure.evaluate(HEARS, kept.tolist())
        assert np.shape(shown) == (network.data["frames"] // 4, len(network.data["words"]) + 1)
        expected = network.answer(network.spectrogram(kept[: 160 * network.data["frames"]]))
        np.testing.assert_allclose(shown, expected, atol=CLOSE)
    steps = rng.dirichlet(np.full(len(network.data["words"]) + 1, 0.1), 400)
    read = figure.evaluate("(figure, steps) => figure.form.read(steps)", steps.tolist())
    assert " ".join(one["word"] for one in read) == network.written(steps)


@each_speech
def test_a_file_is_written_down_whatever_its_rate_and_channels(
    network: Network, figure: Locator
) -> None:
    sound, text = network.sounds[0], network.stored[0]
    twice = np.repeat(sound, 3)  # 48,000 samples a second
    files = [(sound[:, None], 16_000), (np.stack([sound, sound], axis=1), 16_000)]
    for samples, rate in [*files, (twice[:, None], 48_000)]:
        before = asked(figure)
        figure.locator("input").set_input_files(sound_file(samples, rate))
        assert text in wait_for_answer(figure, before)


@each_speech
def test_any_file_is_written_down_or_gets_a_clear_sentence(
    network: Network, figure: Locator
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (60 * 16_000, 1))
    said = figure.evaluate(
        "async ({ form }) => { await form.hear(() => new Float32Array(0)); "
        "return form.result.textContent; }"
    )
    assert "less than a tenth of a second" in said
    odd = [
        (sound_file(np.zeros((16_000, 1))), "the recording is silent"),
        (sound_file(noise[:1]), "lasts less than a tenth of a second"),
        (sound_file(noise[:0]), "cannot read the file as a sound"),
        ({"name": "a.wav", "mimeType": "audio/wav", "buffer": b""}, "The file is empty"),
        ({"name": "a.wav", "mimeType": "audio/wav", "buffer": b"RIFF"}, "cannot read the file"),
        ({"name": "a.mp3", "mimeType": "text/html", "buffer": b"<b>" * 99}, "cannot read the file"),
        ({"name": "a.wav", "mimeType": "audio/wav", "buffer": bytes(21_000_000)}, "has 21 MB"),
        (sound_file(noise), "first 3.2 seconds; the recording lasts 60.0"),
    ]
    for file, expected in odd:
        figure.locator("input").set_input_files(file)  # type: ignore[arg-type]
        figure.get_by_text(expected).wait_for()
        assert len(figure.inner_text()) < 5_000


@each_speech
def test_a_microphone_is_recorded_as_long_as_the_network_can_hear(
    network: Network, figure: Locator
) -> None:
    figure.evaluate(MICROPHONE)
    record = figure.get_by_role("button", name="Record", exact=True)
    record.click()
    figure.get_by_text("it listens for 3.2 seconds").wait_for()
    before = asked(figure)
    assert "The network writes" in wait_for_answer(figure, before)
    record.click()
    stop = figure.get_by_role("button", name="Stop")
    figure.page.wait_for_timeout(600)
    before = asked(figure)
    stop.click()
    wait_for_answer(figure, before)
    record.wait_for()
    assert figure.page.evaluate("window.tracks.map((track) => track.readyState)") == ["ended"] * 2
    figure.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => "
        "Promise.reject(new DOMException('no', 'NotAllowedError')); }"
    )
    record.click()
    figure.get_by_text("gives no microphone to this page").wait_for()


def sound_file(samples: Array, rate: int = 16_000) -> dict[str, Any]:
    """A WAV file of samples `(time, channels)`, as a reader would choose it."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(32_767 * samples).astype("<i2").tobytes())
    return {"name": "call.wav", "mimeType": "audio/wav", "buffer": content.getvalue()}


@pytest.mark.parametrize("network", WORDS, ids=lambda network: network.name)
def test_any_text_gets_an_answer_or_a_clear_sentence(network: Network, figure: Locator) -> None:
    for text, expected in ODD_TEXTS:
        figure.locator("textarea").evaluate("(area, text) => { area.value = text; }", text)
        before = asked(figure)
        figure.get_by_role("button", name="Ask the network").press("Enter")
        assert expected in wait_for_answer(figure, before)
        assert len(figure.inner_text()) < 5_000


@pytest.mark.parametrize("network", WORDS, ids=lambda network: network.name)
def test_the_answer_follows_the_keys_and_names_the_words_that_matter(
    network: Network, figure: Locator
) -> None:
    before = asked(figure)
    figure.locator("textarea").fill("zxcv not good")
    assert "probability" in wait_for_answer(figure, before)
    assert figure.locator(".network-words del").all_inner_texts() == ["zxcv"]
    without = {word: float(network.answer(network.row(word))[0]) for word in ("good", "not")}
    explained = figure.locator(".network-more").inner_text()
    assert f"“not” gives {without['good']:.2f}" in explained
    assert f"“good” gives {without['not']:.2f}" in explained


@pytest.mark.parametrize("network", PICTURES, ids=lambda network: network.name)
def test_a_drawing_is_read_alike_wherever_it_stands(network: Network, figure: Locator) -> None:
    figure.get_by_role("button", name="Clear").click()
    canvas = figure.locator(".network-controls canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    shares = []
    for shift in (0, 60):
        figure.get_by_role("button", name="Clear").click()
        before = asked(figure)
        mouse = figure.page.mouse
        mouse.move(box["x"] + 60 + shift, box["y"] + 60)
        mouse.down()
        mouse.move(box["x"] + 160 + shift, box["y"] + 60, steps=4)
        mouse.move(box["x"] + 100 + shift, box["y"] + 200, steps=4)
        mouse.up()
        assert "The network reads a" in wait_for_answer(figure, before)
        shares.append(figure.locator(".network-shares").inner_text())
        seen = figure.evaluate("figure => [...figure.form.scan()]")
        assert 0 < max(seen) <= 1
    assert shares[0] == shares[1]


@pytest.mark.parametrize("network", PICTURES, ids=lambda network: network.name)
def test_without_a_drawing_it_says_what_to_do(network: Network, figure: Locator) -> None:
    figure.get_by_role("button", name="Clear").click()
    said = figure.evaluate(
        "async (figure) => { await figure.form.ask(); return figure.form.result.textContent; }"
    )
    assert "draw a digit first" in said


@each_network
def test_an_answer_fits_and_shuts_nobody_out(network: Network, figure: Locator) -> None:
    page: Page = figure.page
    before = asked(figure)
    figure.locator(".network-examples button").first.press("Enter")
    wait_for_answer(figure, before)
    for window in (PHONE, DESK):
        page.set_viewport_size(window)  # type: ignore[arg-type]
        assert overflow(page) == 0
    figure.evaluate(ALONE)
    page.evaluate(AXE_SCRIPT)
    for scheme, window in (("light", DESK), ("dark", PHONE)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        page.set_viewport_size(window)  # type: ignore[arg-type]
        result = figure.evaluate("(figure, options) => axe.run(figure, options)", AXE_OPTIONS)
        assert [(rule["id"], rule["nodes"][0]["target"]) for rule in result["violations"]] == []


@each_network
def test_nothing_went_wrong_and_no_request_left_the_site(
    network: Network, figure: Locator, pages: dict[str, Any]
) -> None:
    assert pages[network.page][1] == Visit()


def test_a_file_that_does_not_load_is_asked_for_again(browser: Browser, address: str) -> None:
    network = WORDS[0]
    page = open_page(browser, address, network.page, Visit(), viewport=DESK)
    figure = find(page, network)
    page.route("**/networks/*", lambda route: route.abort())
    example = figure.locator(".network-examples button").first
    example.press("Enter")
    figure.get_by_text("did not load").wait_for()
    page.unroute("**/networks/*")
    example.press("Enter")
    assert "probability" in wait_for_answer(figure, 0)
    page.context.close()


@each_network
def test_without_scripts_the_stored_answers_stand(
    network: Network, browser: Browser, address: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}{network.page}.html", wait_until="domcontentloaded")
    rows = find(page, network).locator("tbody tr")
    assert [row.locator("td").nth(1).inner_text() for row in rows.all()] == network.stored
    context.close()
