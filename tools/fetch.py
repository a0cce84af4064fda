"""Fetch books of Project Gutenberg by number into a folder that `tools/corpus.py` reads.

    python tools/fetch.py 2591 11339 --out books
    python tools/fetch.py numbers.txt --out books      # numbers in a file, `#` begins a comment

The last number of a book's address on gutenberg.org is its number. A book that lies in the folder
is never fetched again, so an interrupted run is simply started again. One request at a time, with a
pause between: the servers are paid for by donations. For hundreds of books give a mirror as --base.
"""

import argparse
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

BASE = "https://www.gutenberg.org/cache/epub"
USER_AGENT = "peft-lab-fetch/1.0 (teaching project; a few books, one request at a time)"
PAUSE = 2.0  # seconds between requests
ATTEMPTS = 5
LONGEST_WAIT = 600.0  # seconds; a server that asks for more is left alone
TRY_AGAIN = {408, 429, 500, 502, 503, 504}


class FetchError(Exception):
    """A book could not be fetched; the message says which, from where and why."""


def retry_after(value, now=None):
    """Seconds that a Retry-After header asks for (it holds seconds or a date), 0 if it is absent.

    A header that cannot be read counts as absent.
    """
    if not value:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def read_numbers(arguments):
    """Book numbers, given as such or in text files, each once, in the order given."""
    numbers = []
    for argument in arguments:
        if argument.isdigit():
            words = [argument]
        else:
            lines = Path(argument).read_text("utf-8").splitlines()
            words = re.split(r"[\s,]+", " ".join(line.split("#")[0] for line in lines).strip())
        for word in filter(None, words):
            if not word.isdigit():
                raise ValueError(f"{argument}: {word!r} is not a book number")
            numbers.append(int(word))
    return list(dict.fromkeys(numbers))


class Fetcher:
    """Fetches books one after the other, politely; `sleep` is an argument so tests need not wait.

    Args:
        folder: where the books lie, and the cache: what is there is not asked for again.
        base: address under which book 11 is found as `11/pg11.txt`.
        pause: seconds between any two requests.
        contact: an address for the server's keepers, sent along with the name of this program.
    """

    def __init__(self, folder, base=BASE, pause=PAUSE, contact="", timeout=60, sleep=time.sleep):
        self.folder, self.base, self.pause = Path(folder), base.rstrip("/"), pause
        self.agent = f"{USER_AGENT} {contact}".strip()
        self.timeout, self.sleep = timeout, sleep
        self.requests = 0

    def __repr__(self):
        return f"Fetcher({str(self.folder)!r}, base={self.base!r}, requests={self.requests})"

    def fetch(self, number):
        """The path of a book's text, fetched if it is not in the folder; FetchError if it fails."""
        path = self.folder / f"pg{number}.txt"
        if path.exists():
            return path
        url = f"{self.base}/{number}/pg{number}.txt"
        wait = 0.0
        for attempt in range(ATTEMPTS):
            try:
                self._write(path, self._get(url, wait))
                return path
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    message = f"book {number}: there is none at {url} (404); check the number"
                    raise FetchError(message) from error
                if error.code not in TRY_AGAIN:
                    raise FetchError(f"book {number}: {url} answered {error}") from error
                reason, asked = error, retry_after(error.headers.get("Retry-After"))
            except (http.client.HTTPException, OSError) as error:  # broken off, refused, timed out
                reason, asked = error, 0.0
            if asked > LONGEST_WAIT:
                raise FetchError(f"book {number}: {url} asks to come back in {asked:.0f} s; do so")
            wait = max(asked, self.pause * 2**attempt)
        raise FetchError(f"book {number}: {url} failed {ATTEMPTS} times, last with: {reason}")

    def _get(self, url, wait):
        """The answer's bytes, after a wait of at least the pause (none before the first)."""
        if self.requests:
            self.sleep(max(wait, self.pause))
        self.requests += 1
        request = urllib.request.Request(url, headers={"User-Agent": self.agent})
        with urllib.request.urlopen(request, timeout=self.timeout) as response:
            data = response.read()  # raises IncompleteRead if the connection breaks off
        if not data.strip() or data.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")):
            raise FetchError(f"{url} answered with a web page or nothing, not with a book")
        return data

    def _write(self, path, data):
        """Write aside, then rename: a file of the final name is always whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        try:
            aside.write_bytes(data)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("numbers", nargs="+", help="book numbers, or text files with numbers")
    parser.add_argument("--out", type=Path, required=True, help="folder for the books")
    parser.add_argument("--base", default=BASE, help="where book 11 is found as 11/pg11.txt")
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between requests")
    parser.add_argument("--contact", default="", help="your e-mail address, sent to the server")
    options = parser.parse_args(arguments)
    try:
        numbers = read_numbers(options.numbers)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    fetcher = Fetcher(options.out, options.base, options.pause, options.contact)
    failed = 0
    for i, number in enumerate(numbers, start=1):
        try:
            print(f"[{i}/{len(numbers)}] {fetcher.fetch(number)}", flush=True)
        except FetchError as error:
            failed += 1
            print(f"[{i}/{len(numbers)}] {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
