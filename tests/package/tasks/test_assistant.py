"""Passages are found by words and by meaning; an assistant answers from them or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.data import Passage
from companion.tasks import Assistant, Retriever, cut_passages, fuse_ranks

SHOP = [
    Passage(text, "shop", "The shop", heading)
    for heading, text in {
        "Post": "Parcels leave on Mondays. Parcels to islands leave on Fridays.",
        "Returns": "You may send back unopened tea within 30 days.",
        "Brewing": "Pour water of 80 degrees over green tea and wait for two minutes.",
        "Contact": "Our telephone is answered from nine to five.",
    }.items()
]


@dataclass
class Said:
    text: str


class Writer:
    """Stands for a language model: it says one sentence and notes what it was asked."""

    def __init__(self, text):
        self.text, self.asked = text, []

    def generate(self, prompt, **options):
        self.asked.append(prompt)
        return Said(self.text)


@pytest.fixture(scope="module")
def retriever():
    return Retriever().fit(SHOP)


paragraphs = st.lists(st.integers(1, 40), min_size=1, max_size=6).map(
    lambda sizes: "\n\n".join(" ".join(f"w{n}" for n in range(size)) for size in sizes)
)


class TestCutting:
    @given(st.lists(paragraphs, min_size=1, max_size=4), st.integers(8, 30))
    def test_whole_paragraphs_keep_every_word_in_order(self, texts, num_words):
        sections = [Passage(text, "page", heading=str(i)) for i, text in enumerate(texts)]
        pieces = cut_passages(sections, "paragraphs", num_words=num_words)
        words = " ".join(" ".join(texts).split())
        assert " ".join(" ".join(piece.text.split()) for piece in pieces) == words
        for piece in pieces:
            assert len(piece.text.split()) <= num_words or "\n\n" not in piece.text

    @given(st.lists(paragraphs, min_size=1, max_size=4), st.integers(8, 30))
    def test_pieces_of_so_many_words_repeat_a_quarter_and_lose_nothing(self, texts, num_words):
        pieces = cut_passages([Passage(text, "p") for text in texts], "words", num_words=num_words)
        overlap = num_words // 4
        kept = pieces[0].text.split()
        for before, after in pairwise(pieces):
            assert before.text.split()[-overlap:] == after.text.split()[:overlap]
            kept += after.text.split()[overlap:]
        assert kept == " ".join(texts).split()
        assert all(len(piece.text.split()) <= num_words for piece in pieces)

    def test_pieces_of_words_never_cross_pages(self):
        pages = [Passage("one two", "a"), Passage("three four", "b")]
        assert [piece.page for piece in cut_passages(pages, "words", num_words=8)] == ["a", "b"]

    def test_sections_stay_as_they_are_and_a_wrong_way_is_refused(self):
        assert cut_passages(SHOP, "sections") == SHOP
        with pytest.raises(ValueError, match="did you mean 'sections'"):
            cut_passages(SHOP, "section")
        with pytest.raises(ValueError, match="num_words"):
            cut_passages(SHOP, num_words=0)


class TestRetriever:
    def test_words_are_weighed_as_the_library_bm25s_does(self):
        bm25s = pytest.importorskip("bm25s")
        texts = [passage.text for passage in SHOP]
        tokens = [text.lower().replace(".", "").split() for text in texts]
        library = bm25s.BM25()
        library.index(tokens, show_progress=False)
        question = "when do parcels leave for the islands"
        ours = Retriever("words", use_headings=False).fit(SHOP).scores([question])[0]
        np.testing.assert_allclose(ours, library.get_scores(question.split()), rtol=1e-5)

    def test_meaning_finds_what_shares_no_word(self, retriever):
        question = "How hot should it be for a cup?"
        found = Retriever("meaning").fit(SHOP).search(question, k=1)[0]
        assert found.passage.heading == "Brewing"
        assert found.similarity == pytest.approx(retriever.similarities([question]).max())

    def test_a_search_gives_the_best_first_and_no_more_than_there_are(self, retriever):
        found = retriever.search("Which parcels leave on Fridays?", k=9)
        assert len(found) == len(SHOP)
        assert found[0].passage.heading == "Post"
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)

    def test_fused_ranks_know_places_and_not_scales(self):
        words, meaning = np.array([[3.0, 1.0, 0.0]]), np.array([[0.2, 0.9, 0.1]])
        np.testing.assert_array_equal(
            fuse_ranks(words, meaning), fuse_ranks(1000 * words, meaning**3)
        )
        assert fuse_ranks(words)[0, 2] == 0  # no shared word earns nothing

    def test_vectors_are_kept_and_damaged_ones_made_again(self, tmp_path, retriever):
        first = Retriever("meaning", folder=tmp_path / "new").fit(SHOP)
        (file,) = (tmp_path / "new").iterdir()
        for content in (b"", b"\x93NUMPY broken", file.read_bytes()[:-7]):
            file.write_bytes(content)
            again = Retriever("meaning", folder=tmp_path / "new").fit(SHOP)
            np.testing.assert_array_equal(again.scores(["tea"]), first.scores(["tea"]))

    @pytest.mark.parametrize("question", ["", 3, None])
    def test_a_question_that_is_none_is_refused(self, retriever, question):
        with pytest.raises(ValueError, match="text"):
            retriever.search(question)

    def test_wrong_use_is_named(self, retriever):
        with pytest.raises(ValueError, match="did you mean 'words'"):
            Retriever("word")
        with pytest.raises(ValueError, match=r"fit\(passages\)"):
            Retriever().search("tea")
        with pytest.raises(ValueError, match="k"):
            retriever.search("tea", k=0)
        with pytest.raises(ValueError, match="knows no similarity"):
            Retriever("words").fit(SHOP).similarities(["tea"])


class TestAssistant:
    def test_a_supported_answer_is_the_models(self, retriever):
        writer = Writer("You may send back unopened tea within 30 days.")
        reply = Assistant(retriever, writer, threshold=0.2).ask("May I send tea back?")
        assert (reply.text, reply.is_quote) == (writer.text, False)
        assert reply.found[0].passage.where == "The shop: Returns (shop)"

    @pytest.mark.parametrize("text", ["You may send back tea within 14 days.", "Never mind!", ""])
    def test_what_the_passage_does_not_say_is_replaced_by_a_quote(self, retriever, text):
        reply = Assistant(retriever, Writer(text), threshold=0.2).ask("May I send tea back?")
        assert reply.is_quote
        assert reply.text == "You may send back unopened tea within 30 days."

    def test_a_question_that_resembles_no_passage_never_reaches_the_model(self, retriever):
        writer = Writer("Paris.")
        reply = Assistant(retriever, writer, threshold=0.4).ask("What is the capital of France?")
        assert reply.is_refused
        assert reply.found == []
        assert writer.asked == []

    def test_the_model_reads_the_passages_and_then_the_question(self, retriever):
        writer = Writer("On Mondays.")
        Assistant(retriever, writer, threshold=0, num_passages=2).ask("When do parcels leave?")
        system, user = writer.asked[0]
        assert SHOP[0].text in system["content"]
        assert sum(passage.text in system["content"] for passage in SHOP) == 2
        assert user == {"role": "user", "content": "When do parcels leave?"}

    def test_the_nearest_sentence_is_quoted(self, retriever):
        quoted = Assistant(retriever, None, threshold=0).quote("Parcels to islands?", SHOP[0])
        assert quoted == "Parcels to islands leave on Fridays."

    def test_wrong_use_is_named(self, retriever):
        with pytest.raises(ValueError, match="threshold"):
            Assistant(retriever, None, threshold=float("nan"))
        with pytest.raises(ValueError, match="num_passages"):
            Assistant(retriever, None, threshold=0, num_passages=0)
        with pytest.raises(ValueError, match="can only quote"):
            Assistant(retriever, None, threshold=0).write("Tea?", SHOP)
