"""tools/fetch.py against a server on the loopback address: polite, cached, never half a file."""

import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import fetch  # noqa: E402
from fetch import Fetcher, FetchError, read_numbers, retry_after  # noqa: E402

TEXT = b"Once a small duck found a red boot.\n"


class Server(ThreadingHTTPServer):
    """Answers each path with what `answers[path]` lists, the last entry again and again.

    An entry is (status, headers, body, promised length).
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests = {}, []

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, number, *answers):
        self.answers[f"/{number}/pg{number}.txt"] = list(answers)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append((self.path, self.headers["User-Agent"]))
        queue = self.server.answers.get(self.path, [reply(status=404)])
        status, headers, body, length = queue.pop(0) if len(queue) > 1 else queue[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def reply(body=TEXT, status=200, promised=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, headers, body, len(body) if promised is None else promised


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def waits():
    """The seconds that were slept, without sleeping."""
    return []


@pytest.fixture
def fetcher(server, waits, tmp_path):
    return Fetcher(tmp_path / "books", server.base, pause=2, timeout=5, sleep=waits.append)


def files(fetcher):
    return sorted(path.name for path in fetcher.folder.glob("*"))


def test_fetches_once_and_says_who_it_is(server, fetcher, waits, tmp_path):
    server.answer(7, reply())
    path = fetcher.fetch(7)
    assert path.read_bytes() == TEXT and files(fetcher) == ["pg7.txt"]
    assert server.requests == [("/7/pg7.txt", fetch.USER_AGENT)]
    fetcher.fetch(7)
    Fetcher(fetcher.folder, server.base).fetch(7)  # another run
    assert len(server.requests) == 1 and waits == []
    Fetcher(tmp_path / "other", server.base, contact="me@example.org").fetch(7)
    assert server.requests[-1][1].endswith("me@example.org")


def test_pauses_between_requests(server, fetcher, waits):
    for number in (1, 2, 3):
        server.answer(number, reply())
        fetcher.fetch(number)
    assert waits == [2, 2]  # none before the first


@pytest.mark.parametrize("status", [429, 503])
def test_tries_again_and_waits_longer_each_time(server, fetcher, waits, status):
    server.answer(7, reply(b"", status), reply(b"", status), reply(b"", status), reply())
    assert fetcher.fetch(7).read_bytes() == TEXT
    assert waits == [2, 4, 8]


def test_honours_retry_after(server, fetcher, waits):
    server.answer(7, reply(b"", 503, Retry_After="30"), reply())
    fetcher.fetch(7)
    assert waits == [30]


def test_retry_after_is_seconds_or_a_date():
    now = datetime(2030, 1, 1, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert [retry_after(value, now) for value in (None, "5", later, "soon")] == [0, 5, 90, 0]
    assert retry_after(later, now + timedelta(days=1)) == 0  # over already


def test_leaves_a_server_alone_that_asks_for_hours(server, fetcher, waits):
    server.answer(7, reply(b"", 429, Retry_After="7200"))
    with pytest.raises(FetchError, match="come back in 7200 s"):
        fetcher.fetch(7)
    assert len(server.requests) == 1 and waits == []


def test_gives_up_after_some_attempts(server, fetcher):
    server.answer(7, reply(b"", 503))
    with pytest.raises(FetchError, match="book 7.*failed 5 times.*503"):
        fetcher.fetch(7)
    assert len(server.requests) == fetch.ATTEMPTS and files(fetcher) == []


@pytest.mark.parametrize(
    ("status", "message"), [(404, r"book 7: there is none.*check the number"), (403, "403")]
)
def test_does_not_insist_on_what_is_refused(server, fetcher, status, message):
    server.answer(7, reply(b"", status))
    with pytest.raises(FetchError, match=message):
        fetcher.fetch(7)
    assert len(server.requests) == 1


def test_broken_download_leaves_no_file_and_is_tried_again(server, fetcher, waits):
    half = reply(TEXT[:10], promised=len(TEXT))
    server.answer(7, half)
    with pytest.raises(FetchError, match="IncompleteRead"):
        fetcher.fetch(7)
    assert files(fetcher) == []
    server.answer(7, half, reply())
    assert fetcher.fetch(7).read_bytes() == TEXT and files(fetcher) == ["pg7.txt"]


def test_interrupted_write_leaves_no_file(server, fetcher, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    server.answer(7, reply())
    monkeypatch.setattr(fetch.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetcher.fetch(7)
    assert files(fetcher) == []


@pytest.mark.parametrize("body", [b"", b"\n<!DOCTYPE html><p>Are you a robot?</p>"])
def test_a_web_page_is_not_a_book(server, fetcher, body):
    server.answer(7, reply(body))
    with pytest.raises(FetchError, match="not with a book"):
        fetcher.fetch(7)
    assert files(fetcher) == []


def test_no_server(waits, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as closed:
        base = closed.base
    with pytest.raises(FetchError, match="refused"):
        Fetcher(tmp_path, base, timeout=5, sleep=waits.append).fetch(7)


def test_numbers_from_arguments_and_files(tmp_path):
    (tmp_path / "numbers.txt").write_text("11 12, 13\n\n14  # a comment, 99\n11\n")
    assert read_numbers(["5", str(tmp_path / "numbers.txt")]) == [5, 11, 12, 13, 14]
    (tmp_path / "wrong.txt").write_text("11 eleven\n")
    with pytest.raises(ValueError, match="wrong.txt: 'eleven' is not a book number"):
        read_numbers([str(tmp_path / "wrong.txt")])


def test_command_line_goes_on_after_a_failure(server, tmp_path, capsys):
    server.answer(8, reply())
    out = tmp_path / "books"
    assert fetch.main(["7", "8", "--out", str(out), "--base", server.base, "--pause", "0"]) == 1
    printed = capsys.readouterr()
    assert "pg8.txt" in printed.out and "book 7" in printed.err
    assert [path.name for path in out.iterdir()] == ["pg8.txt"]
    assert fetch.main(["8", "--out", str(out), "--base", server.base]) == 0
    with pytest.raises(SystemExit):
        fetch.main(["no-such-file.txt", "--out", str(out)])
