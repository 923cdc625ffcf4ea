"""What header and body checks find in messages, and what becomes of them; all was seen with Debian's Postfix 3.7."""

from typing import Final

import pytest

from tests.support.content_case import HEAD, HOW, MULTIPART, Case, check, rules
from tests.support.receiver import MakeReceiver

FROM: Final = HOW.partition(" proto=")[0]
REFUSED: Final = "message content rejected"
REPLACED: Final = rules("/^old/ REPLACE new text")
BODY: Final = rules(
    "/^bad/ REJECT body text",
    "/^warn/ WARN b",
    "/^gone/ IGNORE",
    "/^old/ REPLACE new text",
    "/^after/ PREPEND before",
    "/^--b/ INFO boundary",
    "/^lost/ DISCARD",
)
TREE: Final = (
    f"{HEAD}{MULTIPART}\npre\n--b\nContent-Type: image/x\nX-Part: 1\nX-Gone: 1\n\ngone\nold\nafter\n"
    "--b\nContent-Type: message/rfc822\n\nTo: nested\nSubject: n\n\nbody\n--b--\nrest\n"
)


def subject(action: str, *more: str) -> dict[str, str]:
    """Look for the subject "s"; further rules behind it."""
    return {"header_checks": rules(f"/^Subject: s/ {action}", *more), "mime_header_checks": ""}


def one(action: str, **expected: object) -> Case:
    """A message whose subject is looked up, and is logged when `word` says so."""
    word = expected.pop("word", "")
    text = expected.pop("text", action.partition(" ")[2])
    log = (f"{word}: header Subject: s {HOW}" + (f": {text}" if text else ""),) if word else ()
    message = str(expected.pop("message", HEAD + "Subject: s\n\nb\n"))
    return Case(message, subject(action), log=log, **expected)  # type: ignore[arg-type]


ACTIONS: Final = {
    "reject": one("REJECT", word="reject", text=f"5.7.1 {REFUSED}", reply=f"550 5.7.1 {REFUSED}"),
    "reject-text": one("reject go away", word="reject", text="5.7.1 go away", reply="550 5.7.1 go away"),
    "reject-for-now": one("REJECT 4.7.9 later", word="reject", reply="451 4.7.9 later"),
    "reject-status": one("REJECT 5.3.1 own", word="reject", reply="550 5.3.1 own"),
    "reject-success": one("REJECT 2.0.0 odd", word="reject", text="4.0.0 odd", reply="451 4.0.0 odd"),
    "warn": one("WARN look", word="warning"),
    "info": one("INFO look", word="info"),
    "pass": one("PASS fine", word="pass"),
    "dunno": one("DUNNO"),
    "ok": one("OK"),
    "unknown": one("FROBNICATE x"),
    "hold": one("HOLD keep it", word="hold", envelope={"hold": "keep it"}),
    "filter": one("FILTER smtp:[127.0.0.1]:9", word="filter", envelope={"filter": "smtp:[127.0.0.1]:9"}),
    "bad-filter": one("FILTER foo", envelope={"filter": ""}),
    "redirect": one("REDIRECT o@v.test", word="redirect", envelope={"redirect": "o@v.test"}, recipients=("o@v.test",)),
    "bad-redirect": one("REDIRECT o"),
    "bcc": one("BCC o@v.test", word="bcc", recipients=("alice@example.test", "bob@example.test", "o@v.test")),
    "prepend": one("PREPEND To: joe", word="prepend", queued=HEAD + "To: joe\nSubject: s\n\nb\n"),
    "prepend-dropped": one("PREPEND Bcc: joe", word="prepend", queued=HEAD + "Bcc: joe\nSubject: s\n\nb\n"),
    "bad-prepend": one("PREPEND joe"),
    "replace": one("REPLACE To: joe", word="replace", queued=HEAD + "To: joe@example.test\n\nb\n"),
    "strip": one("STRIP why", word="strip", queued=HEAD + "\nb\n"),
    "ignore": one("IGNORE", queued=HEAD + "\nb\n"),
}
CASES: Final = {
    **ACTIONS,
    "folds-and-octets": Case(
        HEAD + "Subject: s\n folded\n\tx\x01y\xff\n\n",
        subject("WARN w"),
        log=(f"warning: header Subject: s? folded??x?y? {HOW}: w",),
    ),
    "200-octets": Case(
        HEAD + "Subject: s" + "y" * 300 + "\n\n",
        subject("WARN"),
        log=(f"warning: header Subject: s{'y' * 190} {HOW}",),
    ),
    "held-once": Case(
        HEAD + "Subject: s\nX-Hold: 1\n\n",
        subject("HOLD one", "/^X-Hold/ HOLD two"),
        log=(f"hold: header Subject: s {HOW}: one",),
        envelope={"hold": "one"},
    ),
    "nothing-after-pass": Case(
        HEAD + "Subject: s\nX: 1\n\nbad body\n",
        {**subject("PASS", "/^X/ REJECT"), "body_checks": BODY},
        log=(f"pass: header Subject: s {HOW}",),
    ),
    "nothing-after-redirect": Case(
        HEAD + "Subject: s\nX: 1\n\nbad body\n",
        {**subject("REDIRECT x@v.test", "/^X/ REJECT"), "body_checks": BODY},
        log=(f"redirect: header Subject: s {HOW}: x@v.test",),
        envelope={"redirect": "x@v.test"},
        recipients=("x@v.test",),
    ),
    "several": Case(
        HEAD + "Subject: s\nX: 1\nY: 1\nX: 2\n\nb\n",
        subject("FILTER a:b", "/^X/ BCC x@v.test", "/^Y/ FILTER c:d"),
        log=(
            f"filter: header Subject: s {HOW}: a:b",
            f"bcc: header X: 1 {HOW}: x@v.test",
            f"filter: header Y: 1 {HOW}: c:d",
            f"bcc: header X: 2 {HOW}: x@v.test",
        ),
        envelope={"filter": "c:d"},
        recipients=("alice@example.test", "bob@example.test", "x@v.test"),
    ),
    "before-rewriting-and-dropping": Case(
        "From: f\nBcc: x\nTo: joe\nDate: x\nMessage-Id: <1@x>\n\n",
        {"header_checks": rules("/^Bcc: x$$/ REPLACE X-Bcc: y", "/^From: f$$/ REPLACE From: g", "/^To: joe$$/ INFO")},
        log=(
            f"replace: header From: f {HOW}: From: g",
            f"replace: header Bcc: x {HOW}: X-Bcc: y",
            f"info: header To: joe {HOW}",
        ),
        queued="From: g@example.test\nX-Bcc: y\nTo: joe@example.test\nDate: x\nMessage-Id: <1@x>\n\n",
    ),
    "tree": Case(
        TREE,
        {
            "header_checks": rules("/^Content-/ REJECT", "/^X-Part/ REJECT", "/^To: nested/ REJECT"),
            "mime_header_checks": rules(
                "/^Content-Type: image.x/ REPLACE Content-Type: text/plain",
                "/^Content-Type: message/ WARN nested",
                "/^X-Part: / PREPEND X-Pre: part",
                "/^X-Gone: / IGNORE",
            ),
            "nested_header_checks": rules("/^To: nested/ WARN nest", "/^Subject: n/ STRIP"),
            "body_checks": BODY,
        },
        log=(
            f"info: body --b {HOW}: boundary",
            f"replace: header Content-Type: image/x {HOW}: Content-Type: text/plain",
            f"prepend: header X-Part: 1 {HOW}: X-Pre: part",
            f"replace: body old {HOW}: new text",
            f"prepend: body after {HOW}: before",
            f"info: body --b {HOW}: boundary",
            f"warning: header Content-Type: message/rfc822 {HOW}: nested",
            f"warning: header To: nested {HOW}: nest",
            f"strip: header Subject: n {HOW}",
            f"info: body --b-- {HOW}: boundary",
        ),
        queued=(
            f"{HEAD}{MULTIPART}\npre\n--b\nContent-Type: text/plain\nX-Pre: part\nX-Part: 1\n\n"
            "new text\nbefore\nafter\n--b\nContent-Type: message/rfc822\n\nTo: nested\n\nbody\n--b--\nrest\n"
        ),
    ),
    "body-reject": Case(
        HEAD + "\nb\nbad\nwarn\n",
        {"body_checks": BODY},
        "550 5.7.1 body text",
        (f"reject: body bad {HOW}: 5.7.1 body text",),
    ),
    "body-discard": Case(
        HEAD + "\nb\nlost\nbad\n", {"body_checks": BODY}, log=(f"discard: body lost {HOW}",), queued=""
    ),
    "first-body-line-goes": Case(
        HEAD + "gone\nX-After: body now\n\nold\n",
        {"body_checks": BODY},
        log=(f"replace: body old {HOW}: new text",),
        queued=HEAD + "\nX-After: body now\n\nnew text\n",
    ),
    "no-empty-line-refused": Case(
        HEAD + "gone\nX: 1\n",
        {"non_empty_end_of_header_action": "reject"},
        "550 5.6.0 non-empty end-of-header",
        (f"reject: mime-error primary header was terminated with non-empty line: gone {FROM}",),
    ),
    "no-empty-line-noted": Case(
        HEAD + "gone\nX: 1\n",
        {"non_empty_end_of_header_action": "add_header", "body_checks": BODY},
        queued=HEAD + "MIME-Error: message header was not terminated by empty line\n\nX: 1\n",
    ),
    "long-line": Case(
        HEAD + "\nold" + "x" * 3000 + "\nb\n",
        {"body_checks": REPLACED},
        log=(f"replace: body old{'x' * 197} {HOW}: new text",),
        queued=HEAD + "\nnew text" + "x" * (3003 - 2048) + "\nb\n",
    ),
    "body-size-in": Case(
        HEAD + "\n" + "a" * 17 + "\nold\nold\n",
        {"body_checks": REPLACED, "body_checks_size_limit": "20"},
        log=(f"replace: body old {HOW}: new text",),
        queued=HEAD + "\n" + "a" * 17 + "\nnew text\nold\n",
    ),
    "body-size-out": Case(
        HEAD + "\n" + "a" * 18 + "\nold\n", {"body_checks": REPLACED, "body_checks_size_limit": "20"}
    ),
    "header-size": Case(
        f"{HEAD}X-Long: {'z' * 100}\nX-Long: a\n {'b' * 80}\n {'c' * 80}\nTo: joe\n\nb\n",
        {"header_size_limit": "60", "header_checks": rules("/^X-Long/ WARN long")},
        log=(
            f"warning: header X-Long: {'z' * 100} {HOW}: long",
            f"warning: header X-Long: a? {'b' * 80} {HOW}: long",
        ),
        queued=f"{HEAD}X-Long: {'z' * 52}\nX-Long: a\n {'b' * 49}\nTo: joe@example.test\n\nb\n",
    ),
    "header-table-fails": Case(HEAD + "\nb\n", {"header_checks": "fail:x"}, "451 4.3.0 Error: queue file write error"),
    "body-table-fails": Case(HEAD + "\nb\n", {"body_checks": "fail:x"}, "451 4.3.0 Error: queue file write error"),
    "body-table-is-not-asked": Case(HEAD + "\n\n", {"body_checks": "fail:x"}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_content(receiver: MakeReceiver, case: Case) -> None:
    """Each action, each table, each limit."""
    check(receiver, case)
