"""A large language model answers in the form of OpenAI's API, to its client and to plain HTTP."""

from __future__ import annotations

import base64
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import pytest

from companion import models
from companion.serving import ChatService
from tests.package.serving.chat_models import Gated, client_of, tiny_model
from tests.package.serving.clients import ask, counted, place

CHAT = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Tea or 咖啡?"}]
SAMPLED = {"temperature": 1.3, "top_p": 0.9, "seed": 5}
FORM = {
    "type": "object",
    "properties": {"drink": {"enum": ["茶 🍵 ☕"]}, "cups": {"enum": [1, 2]}},
    "required": ["drink", "cups"],
    "additionalProperties": False,
}
CHATS, TEXTS = "/v1/chat/completions", "/v1/completions"


@pytest.fixture(scope="module", name="model")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", name="service")
def running(model):
    with ChatService(model, "tiny") as service:
        yield service


@pytest.fixture(scope="module", name="client")
def official(service):
    with client_of(service) as client:
        yield client


def formed(schema):
    return {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}


def post(service, path, **fields):
    """Returns status, content and headers of an answer to some fields."""
    return ask(service, path=path, body=json.dumps({"model": "tiny"} | fields).encode())


def events(content):
    """Returns what the events of a stream say, the last as it stands there."""
    *parts, rest = content.decode().split("\n\n")
    assert rest == ""
    assert all(part.startswith("data: ") for part in parts)
    said = [part.removeprefix("data: ") for part in parts]
    return [json.loads(part) for part in said[:-1]], said[-1]


def test_a_conversation_is_answered_as_the_model_itself_answers(client, model):
    direct = model.generate(CHAT, max_tokens=20, **SAMPLED)
    found = client.chat.completions.create(model="tiny", messages=CHAT, max_tokens=20, **SAMPLED)
    (choice,) = found.choices
    assert (choice.message.role, choice.message.content) == ("assistant", direct.text)
    assert choice.finish_reason == direct.finish_reason
    assert found.usage.prompt_tokens == direct.prompt_tokens
    assert found.usage.completion_tokens == len(direct.tokens)
    assert found.usage.total_tokens == direct.prompt_tokens + len(direct.tokens)
    assert (found.object, found.model) == ("chat.completion", "tiny")


def test_a_stream_gives_the_same_text_in_pieces_and_then_its_length(client, model):
    direct = model.generate(CHAT, max_tokens=20, **SAMPLED)
    *parts, last = client.chat.completions.create(
        model="tiny",
        messages=CHAT,
        max_completion_tokens=20,
        stream=True,
        stream_options={"include_usage": True},
        **SAMPLED,
    )
    pieces = [part.choices[0].delta.content or "" for part in parts]
    assert "".join(pieces) == direct.text
    assert len(set(pieces)) > 3
    assert parts[0].choices[0].delta.role == "assistant"
    reasons = [part.choices[0].finish_reason for part in parts]
    assert reasons == [None] * (len(parts) - 1) + [direct.finish_reason]
    assert last.choices == []
    assert last.usage.completion_tokens == len(direct.tokens)
    assert len({part.id for part in [*parts, last]}) == 1


def test_a_text_is_gone_on_with_whole_and_in_pieces(client, model):
    direct = model.generate("To be", max_tokens=12, **SAMPLED)
    asked = {"model": "tiny", "prompt": "To be", "max_tokens": 12, **SAMPLED}
    whole = client.completions.create(**asked)
    assert whole.choices[0].text == direct.text
    assert whole.usage.prompt_tokens == direct.prompt_tokens
    pieces = [part.choices[0].text for part in client.completions.create(**asked, stream=True)]
    assert "".join(pieces) == direct.text
    ids = model.tokenizer.encode("To be")
    for prompt in (ids, ["To be"], [ids]):
        assert client.completions.create(**asked | {"prompt": prompt}).choices[0].text == (
            direct.text
        )


@pytest.mark.parametrize("path", [CHATS, TEXTS])
def test_a_stream_is_server_sent_events_that_end_with_done(service, path):
    prompt = {"messages": CHAT} if path == CHATS else {"prompt": "To be"}
    status, content, headers = post(service, path, max_tokens=5, stream=True, **prompt)
    assert status == 200
    assert headers["Content-Type"].startswith("text/event-stream")
    parts, end = events(content)
    assert end == "[DONE]"
    assert all("usage" not in part for part in parts)
    assert all(part["choices"][0]["index"] == 0 for part in parts)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_has_the_form_asked_for_with_characters_of_every_kind(client, stream):
    answer = client.chat.completions.create(
        model="tiny", messages=CHAT, response_format=formed(FORM), temperature=2, stream=stream
    )
    pieces = [
        (part.choices[0].delta.content or "") if stream else part[1][0].message.content
        for part in (answer if stream else [("choices", answer.choices)])
    ]
    assert not any("\ufffd" in piece for piece in pieces)
    found = json.loads("".join(pieces))
    assert found == {"drink": "茶 🍵 ☕", "cups": found["cups"]}
    assert found["cups"] in (1, 2)


def test_an_object_is_answered_where_any_json_object_is_asked_for(service):
    form = {"type": "json_object"}
    status, found, _ = post(service, CHATS, messages=CHAT, response_format=form, max_tokens=1)
    assert status == 200
    assert found["choices"][0]["finish_reason"] == "length"
    text = found["choices"][0]["message"]["content"]
    assert "{".startswith(text.strip())


@pytest.mark.parametrize("stop", [None, "e", ["e", "好"], []])
def test_an_answer_ends_before_a_stop_string(client, model, stop):
    direct = model.generate(CHAT, max_tokens=60, stop=stop or (), **SAMPLED)
    found = client.chat.completions.create(
        model="tiny", messages=CHAT, max_tokens=60, stop=stop, **SAMPLED
    )
    assert found.choices[0].message.content == direct.text
    assert not any(
        text in direct.text for text in ([stop] if isinstance(stop, str) else stop or [])
    )


def test_a_seed_repeats_an_answer_and_none_gives_another_each_time(client):
    def write(**more):
        asked = {"model": "tiny", "messages": CHAT, "max_tokens": 30, "temperature": 2} | more
        return client.chat.completions.create(**asked).choices[0].message.content

    assert write(seed=-3) == write(seed=-3)
    assert len({write() for _ in range(4)}) > 1
    assert write(top_p=0) == write(temperature=0) == write(top_p=0)


def test_parts_developers_and_what_changes_nothing_are_taken(client, model):
    parts = [{"type": "text", "text": "Tea or "}, {"type": "text", "text": "咖啡?"}]
    same = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": parts}]
    found = client.chat.completions.create(
        model="tiny",
        messages=same,
        max_tokens=10,
        temperature=0,
        n=1,
        user="me",
        metadata={"a": "b"},
        presence_penalty=0,
        frequency_penalty=0.0,
        logit_bias={},
        tools=[],
        store=False,
        response_format={"type": "text"},
    )
    assert found.choices[0].message.content == model.generate(CHAT, max_tokens=10).text


MANY = [{"role": "user", "content": "a" * 600}]


@pytest.mark.parametrize(
    ("path", "fields", "param", "says"),
    [
        (CHATS, {}, "messages", "must be a list"),
        (CHATS, {"messages": []}, "messages", "must be a list"),
        (CHATS, {"messages": "Hello"}, "messages", "must be a list"),
        (CHATS, {"messages": ["Hello"]}, "messages[0].role", "must be one of"),
        (CHATS, {"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role", "one of"),
        (CHATS, {"messages": [{"role": [], "content": "a"}]}, "messages[0].role", "one of"),
        (CHATS, {"messages": [{"role": "user"}]}, "messages[0].content", "must be a text"),
        (CHATS, {"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "a text"),
        (
            CHATS,
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content",
            "parts of type text",
        ),
        (CHATS, {"messages": [{"role": "user", "content": "\ud83c"}]}, "messages", "half a char"),
        (CHATS, {"messages": CHAT, "max_tokens": 0}, "max_tokens", "at least 1"),
        (CHATS, {"messages": CHAT, "max_tokens": 1.5}, "max_tokens", "whole number"),
        (CHATS, {"messages": CHAT, "max_tokens": True}, "max_tokens", "whole number"),
        (
            CHATS,
            {"messages": CHAT, "max_tokens": 1, "max_completion_tokens": 1},
            "max_tokens",
            "one of them",
        ),
        (CHATS, {"messages": CHAT, "temperature": 2.1}, "temperature", "from 0 to 2"),
        (CHATS, {"messages": CHAT, "temperature": "1"}, "temperature", "from 0 to 2"),
        (CHATS, {"messages": CHAT, "temperature": 10**400}, "temperature", "from 0 to 2"),
        (CHATS, {"messages": CHAT, "top_p": -1}, "top_p", "from 0 to 1"),
        (CHATS, {"messages": CHAT, "seed": "a"}, "seed", "whole number"),
        (CHATS, {"messages": CHAT, "stop": ["a"] * 5}, "stop", "at most 4"),
        (CHATS, {"messages": CHAT, "stop": ""}, "stop", "none empty"),
        (CHATS, {"messages": CHAT, "stop": {"a": 1}}, "stop", "must be a text or a list"),
        (CHATS, {"messages": CHAT, "n": 2}, "n", "one answer"),
        (CHATS, {"messages": CHAT, "tools": [{}]}, "tools", "not offered"),
        (CHATS, {"messages": CHAT, "logprobs": True}, "logprobs", "not offered"),
        (CHATS, {"messages": CHAT, "stream": "yes"}, "stream", "true or false"),
        (CHATS, {"messages": CHAT, "stream_options": {}}, "stream_options", "stream=true"),
        (CHATS, {"messages": CHAT, "max_token": 3}, "max_token", "Unrecognized request argument"),
        (CHATS, {"messages": CHAT, "response_format": "json"}, "response_format", "json_schema"),
        (
            CHATS,
            {"messages": CHAT, "response_format": {"type": "json_schema"}},
            "response_format",
            "json_schema",
        ),
        (CHATS, {"messages": CHAT, "model": None}, "model", "/v1/models"),
        (TEXTS, {}, "prompt", "must be a text"),
        (TEXTS, {"prompt": ""}, "prompt", "not empty"),
        (TEXTS, {"prompt": ["a", "b"]}, "prompt", "only one"),
        (TEXTS, {"prompt": [1, True]}, "prompt", "token ids"),
        (TEXTS, {"prompt": [10**9]}, "prompt", "at most"),
        (TEXTS, {"prompt": [-1]}, "prompt", "at least 0"),
        (TEXTS, {"prompt": "a", "echo": True}, "echo", "not offered"),
        ("/v1/embeddings", {"input": []}, "input", "empty"),
        ("/v1/embeddings", {"input": ""}, "input", "empty"),
        ("/v1/embeddings", {"input": [1, 2]}, "input", "not str"),
        ("/v1/embeddings", {"input": ["a"] * 300}, "input", "256 are allowed"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format", "base64"),
    ],
)
def test_a_wrong_request_is_told_which_argument_is_wrong(service, path, fields, param, says):
    status, found, _ = post(service, path, **fields)
    assert status == 400
    assert set(found["error"]) == {"message", "type", "param", "code"}
    assert (found["error"]["type"], found["error"]["param"]) == ("invalid_request_error", param)
    assert says in found["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", CHATS, b"", {}, 400),
        ("POST", CHATS, b"[]", {}, 400),
        ("POST", CHATS, b"[" * 100_000, {}, 400),
        ("POST", CHATS, b'{"a": "' + b"a" * 1_000_000 + b'"}', {}, 413),
        ("POST", CHATS, b"{}", {"Content-Encoding": "gzip"}, 415),
        ("POST", CHATS, b"{}", {"Host": "example.org"}, 403),
        ("POST", CHATS, b"{}", {"Origin": "http://example.org"}, 403),
        ("GET", CHATS, None, {}, 405),
        ("GET", "/v1/models/other", None, {}, 404),
        ("POST", "/v1/responses", b"{}", {}, 404),
    ],
)
def test_every_refusal_has_the_apis_form(service, method, path, body, headers, status):
    found, content, _ = ask(service, method, path, body, headers)
    assert found == status
    assert set(content["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("other", ["gpt-5", "all-minilm-l6-v2"])
def test_another_model_is_not_found(service, other):
    status, found, _ = post(service, CHATS, model=other, messages=CHAT)
    assert (status, found["error"]["code"]) == (404, "model_not_found")
    assert "'tiny'" in found["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_longer_than_the_context_is_refused_by_the_apis_code(client, model, stream):
    asked = {"model": "tiny", "stream": stream}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(messages=MANY, **asked)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")
    with pytest.raises(openai.BadRequestError, match="context length is 512") as refused:
        client.completions.create(prompt="好" * 30_000, **asked)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "prompt")
    full = [1] * (model.context_length - 1)
    assert client.completions.create(model="tiny", prompt=full).usage.completion_tokens <= 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 2},
        {"type": "poem"},
        {"enum": []},
        {"$ref": "#"},
        {"$ref": "http://example.org/form"},
    ],
)
def test_a_form_that_no_answer_has_is_refused(client, schema, stream):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model="tiny", messages=CHAT, response_format=formed(schema), stream=stream
        )
    assert refused.value.param == "response_format"


def test_models_are_listed_and_found(client, service):
    names = [model.id for model in client.models.list()]
    assert names == ["tiny", "all-minilm-l6-v2"]
    assert [client.models.retrieve(name).id for name in names] == names
    health = ask(service, "GET", "/health")[1]
    assert (health["status"], health["limits"]["context_length"]) == ("ok", 512)


def test_tokens_read_and_written_are_counted(service, client):
    before = [
        counted(service, f'companion_tokens_total{{kind="{k}"}}') for k in ("prompt", "answer")
    ]
    usage = client.completions.create(model="tiny", prompt="To be", temperature=0).usage
    after = [
        counted(service, f'companion_tokens_total{{kind="{k}"}}') for k in ("prompt", "answer")
    ]
    assert np.subtract(after, before).tolist() == [usage.prompt_tokens, usage.completion_tokens]
    assert counted(service, "companion_answers ") == 0


@pytest.mark.slow
@pytest.mark.parametrize("form", ["float", "base64"])
def test_vectors_are_those_of_the_packaged_network(client, form):
    texts = ["A cup of tea.", "Some hot coffee. ☕", "茶"]
    found = client.embeddings.create(
        model="all-minilm-l6-v2", input=texts, encoding_format=form, dimensions=384
    )
    vectors = [part.embedding for part in found.data]
    if form == "base64":
        plain = client.embeddings.create(model="all-minilm-l6-v2", input=texts)
        assert [part.embedding for part in plain.data] == [
            np.frombuffer(base64.b64decode(vector), "<f4").tolist() for vector in vectors
        ]
        return
    np.testing.assert_allclose(vectors, models.embed_texts(texts), atol=1e-6)
    assert found.usage.prompt_tokens == found.usage.total_tokens > 3 * 3


@pytest.mark.slow
def test_a_text_too_long_for_a_vector_is_refused_and_others_are_not(client):
    create = client.embeddings.create
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="all-minilm-l6-v2", input=["fine", "tea " * 300])
    assert refused.value.code == "context_length_exceeded"
    assert len(create(model="all-minilm-l6-v2", input="fine").data[0].embedding) == 384
    with pytest.raises(openai.BadRequestError, match="dimensions must be 384"):
        create(model="all-minilm-l6-v2", input="fine", dimensions=100)


def opened(service, tokens, prompt="Go on"):
    """Returns the connection of a stream that has been asked for."""
    body = {"model": "words", "prompt": prompt, "max_tokens": tokens, "stream": True}
    content = json.dumps(body).encode()
    connection = socket.create_connection(place(service), timeout=60)
    head = f"POST {TEXTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


def read_until(connection, sign, times=1):
    found = b""
    while found.count(sign) < times:
        part = connection.recv(4096)
        assert part
        found += part
    return found


def wait_until_lost(service, number):
    while counted(service, "companion_requests_lost_total") < number:
        pass  # each question is a request that the service answers meanwhile


def complete(service, **fields):
    return post(service, TEXTS, model="words", **{"prompt": "Go on", "max_tokens": 1} | fields)


def test_when_the_client_leaves_no_more_than_one_more_token_is_written():
    model = Gated()
    with ChatService(model, "words") as service:
        leaving = opened(service, tokens=900)
        model.gate.release(2)
        read_until(leaving, b"data: ", times=2)
        leaving.close()
        wait_until_lost(service, 1)
        model.gate.release()
        model.gate.release(3)
        status, found, _ = complete(service, max_tokens=3)
        assert (status, found["choices"][0]["text"]) == (200, "word " * 3)
        assert model.written == 2 + 1 + 3


def test_a_client_that_leaves_before_its_turn_is_forgotten():
    model = Gated()
    with ChatService(model, "words") as service, ThreadPoolExecutor() as pool:
        first = pool.submit(complete, service, prompt="first")
        assert model.entered.wait(60)
        leaving = opened(service, tokens=900, prompt="leaves")
        while counted(service, "companion_answers ") < 2:
            pass
        leaving.close()
        wait_until_lost(service, 1)
        model.gate.release(2)
        assert complete(service, prompt="last")[0] == first.result()[0] == 200
        assert model.begun == ["first", "last"]


def test_a_client_that_reads_nothing_keeps_nobody_waiting():
    model = Gated()
    with ChatService(model, "words") as service, opened(service, tokens=900):
        model.gate.release(901)
        assert complete(service)[0] == 200


def test_more_requests_than_may_wait_are_sent_away_with_a_time_to_come_back():
    model = Gated()
    with ChatService(model, "words", waiting=8) as service, ThreadPoolExecutor(50) as pool:
        running = [pool.submit(complete, service)]
        assert model.entered.wait(60)  # its place among those that wait is free again
        running += [pool.submit(complete, service) for _ in range(49)]
        while counted(service, f'companion_requests_total{{path="{TEXTS}",status="503"}}') < 50 - 9:
            pass
        model.gate.release(50)
        answers = [answer.result() for answer in running]
    assert sorted(status for status, _, _ in answers) == [200] * 9 + [503] * 41
    for status, content, headers in answers:
        if status == 503:
            assert headers["Retry-After"] == "1"
            assert content["error"]["type"] == "server_error"
        else:
            assert content["choices"][0]["text"] == "word "


@pytest.mark.slow
def test_fifty_at_once_are_each_answered_as_alone(service, model):
    prompts = [f"{'x' * (i % 7)}tea {i}" for i in range(50)]

    def write(prompt):
        _, found, _ = post(service, TEXTS, prompt=prompt, max_tokens=4, temperature=0)
        return found["choices"][0]["text"]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(write, prompts))
    assert answers == [model.generate(prompt, max_tokens=4).text for prompt in prompts]


def test_who_waits_too_long_is_told_so():
    model = Gated()
    with ChatService(model, "words") as service, ThreadPoolExecutor() as pool:
        first = pool.submit(complete, service)
        assert model.entered.wait(60)
        service.waiting_seconds = 0.05  # from now on: the first has had its turn
        status, found, headers = complete(service, stream=True)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "No turn within 0.05 s" in found["error"]["message"]
        model.gate.release()
        assert first.result()[0] == 200


@pytest.mark.parametrize("written", [0, 2])
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_is_told_and_the_next_is_answered(written, stream):
    model = Gated(fails_after=written)
    with ChatService(model, "words") as service:
        model.gate.release(10)
        status, content, _ = complete(service, max_tokens=5, stream=stream)
        if stream and written:
            parts, last = events(content)
            assert [part["choices"][0]["text"] for part in parts] == ["word "] * written
            failed = json.loads(last)
            assert status == 200
        else:
            assert status == 500
            failed = content
        assert failed["error"]["type"] == "server_error"
        assert "disk" not in failed["error"]["message"]  # nor anything else of the inside
        model.fails_after = None
        assert complete(service)[0] == 200


def test_a_failure_within_a_stream_reaches_the_official_client():
    model = Gated(fails_after=1)
    model.gate.release(5)
    with (
        ChatService(model, "words") as service,
        client_of(service) as client,
        pytest.raises(openai.APIError, match="failed in the service"),
    ):
        list(client.completions.create(model="words", prompt="a", max_tokens=3, stream=True))


def test_the_end_waits_for_the_answer_under_way_and_it_can_start_again():
    model = Gated()
    service = ChatService(model, "words")
    service.start()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(complete, service, max_tokens=2)
        assert model.entered.wait(60)
        stopping = threading.Thread(target=service.stop)
        stopping.start()
        model.gate.release(2)
        assert answer.result()[1]["choices"][0]["text"] == "word " * 2
        stopping.join()
    assert service.unanswered == 0
    with service:
        model.gate.release()
        assert complete(service)[0] == 200


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "a b"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"name": "all-minilm-l6-v2"}, "taken"),
        ({"answer_tokens": 0}, "answer_tokens"),
        ({"waiting": 1.5}, "waiting"),
        ({"waiting_seconds": float("nan")}, "waiting_seconds"),
        ({"host": "0.0.0.0"}, "allow_remote"),
    ],
)
def test_impossible_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        ChatService(Gated(), **wrong)


def test_a_model_without_conversations_says_so():
    class Plain(Gated):
        tokenizer = None

        def stream(self, ids, **options):
            raise ValueError("This model was not made for conversations: give it a text.")

    with ChatService(Plain(), "words") as service:
        status, found, _ = post(service, CHATS, model="words", messages=CHAT)
    assert (status, found["error"]["param"]) == (400, "messages")
    assert "not made for conversations" in found["error"]["message"]


@pytest.mark.slow
def test_the_packaged_model_writes_the_same_tokens_served_and_directly():
    model = models.load_language_model(weights="int8")
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    form = {"type": "object", "properties": {"city": {"enum": ["Rome", "Paris"]}}}
    form |= {"required": ["city"], "additionalProperties": False}
    with ChatService(model) as service, client_of(service) as client:
        asked = {"model": "smollm2", "messages": chat, "max_tokens": 24}
        for options in ({"temperature": 0}, {"temperature": 0.7, "seed": 3}):
            direct = model.generate(chat, max_tokens=24, **options)
            found = client.chat.completions.create(**asked, **options)
            assert found.choices[0].message.content == direct.text
            assert found.usage.completion_tokens == len(direct.tokens)
            stream = client.chat.completions.create(**asked, **options, stream=True)
            assert "".join(part.choices[0].delta.content or "" for part in stream) == direct.text
        found = client.chat.completions.create(**asked, response_format=formed(form), temperature=0)
        assert found.choices[0].message.content == model.generate(chat, schema=form).text
