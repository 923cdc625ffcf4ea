"""What may be wrong with content as such: 8-bit text, MIME, characters. All was seen with Debian's Postfix 3.7.

But for force_mime_input_conversion, which came with 3.9.
"""

from typing import Final

import pytest

from tests.support.content_case import HEAD, HOW, MULTIPART, Case, check, rules
from tests.support.receiver import MakeReceiver

FROM: Final = HOW.partition(" proto=")[0]
IN_HEADER: Final = "improper use of 8-bit data in message header"
IN_BODY: Final = "improper use of 8-bit data in message body"
DOMAIN: Final = "invalid message/* or multipart/* encoding domain"
NESTING: Final = "MIME nesting exceeds safety limit"
CHARACTERS: Final = "550 5.7.1 disallowed character"
STRICT: Final = ("strict_7bit_headers", "strict_8bitmime", "strict_8bitmime_body", "strict_mime_encoding_domain")
# Octets above 127 that are no UTF-8, as they come from unix of 1995.
SUBJECT: Final = HEAD + "Subject: \xff\xfe x\n\nb\n"
BODY: Final = HEAD + "Subject: x\n\nw\xf6rld\n"
BOTH: Final = HEAD + "Subject: \xff\n\nb\xff\n"
PART: Final = HEAD + MULTIPART + "\n--b\nContent-Type: text/plain\n{}\nw\xf6rld\n--b--\n"
ENCODED: Final = HEAD + MULTIPART + "Content-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n"


def found(problem: str, text: str) -> str:
    """Give the line of the log."""
    return f"reject: mime-error {problem}: {text} {FROM}"


def refused(message: str, *problems: tuple[str, str], **main: str) -> Case:
    """A message with problems, the first of which is the reply."""
    return Case(message, main, f"550 5.6.0 {problems[0][0]}", tuple(found(*problem) for problem in problems))


def nested(depth: int) -> str:
    """Give a message with multiparts within each other."""
    parts = [f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n" for level in range(depth)]
    return f"{HEAD}{''.join(parts)}\nx\n"


def with_settings(message: str, *names: str) -> dict[str, Case]:
    """A message that is taken with each of these settings."""
    return {f"{name}-{message[len(HEAD) : len(HEAD) + 12]!r}": Case(message, {name: "yes"}) for name in names}


CASES: Final = {
    "7bit-headers": refused(SUBJECT, (IN_HEADER, "Subject: ?? x"), strict_7bit_headers="yes"),
    "7bit-headers-both": refused(BOTH, (IN_HEADER, "Subject: ?"), strict_7bit_headers="yes"),
    "8bitmime": refused(BOTH, (IN_HEADER, "Subject: ?"), (IN_BODY, "b?"), strict_8bitmime="yes"),
    "8bitmime-body": refused(BODY, (IN_BODY, "w?rld"), strict_8bitmime="yes"),
    "body": refused(BOTH, (IN_BODY, "b?"), strict_8bitmime_body="yes"),
    "part": refused(PART.format(""), (IN_BODY, "w?rld"), strict_8bitmime_body="yes"),
    "domain": refused(ENCODED, (DOMAIN, "base64"), strict_mime_encoding_domain="yes"),
    **with_settings(SUBJECT, "strict_8bitmime_body", "strict_mime_encoding_domain"),
    **with_settings(BODY, "strict_7bit_headers", "strict_mime_encoding_domain"),
    **with_settings(HEAD + "Content-Transfer-Encoding: 8bit\n\nw\xf6rld\n", *STRICT),
    **with_settings(PART.format("Content-Transfer-Encoding: binary\n"), *STRICT),
    **with_settings(ENCODED, "strict_7bit_headers", "strict_8bitmime", "strict_8bitmime_body"),
    "no-structure": Case(BOTH, {"disable_mime_input_processing": "yes", "strict_8bitmime": "yes"}),
    "no-structure-parts": Case(
        PART.format(""),
        {
            "disable_mime_input_processing": "yes",
            "header_checks": rules("/^Con/ WARN"),
            "body_checks": rules("/^Con/ IGNORE"),
        },
        log=(f"warning: header Content-Type: multipart/mixed; boundary=b {HOW}",),
        queued=PART.format("").replace("Content-Type: text/plain\n", ""),
    ),
    "a-check-comes-first": Case(
        HEAD + "Subject: \xff\nX: 1\n\n",
        {"strict_8bitmime": "yes", "header_checks": rules("/^X/ REJECT after")},
        "550 5.7.1 after",
        (found(IN_HEADER, "Subject: ?"), f"reject: header X: 1 {HOW}: 5.7.1 after"),
    ),
    "after-pass": Case(
        HEAD + "X: 1\nSubject: \xff\n\nbad\n",
        {"strict_8bitmime": "yes", "header_checks": rules("/^X/ PASS"), "body_checks": rules("/bad/ WARN")},
        f"550 5.6.0 {IN_HEADER}",
        (f"pass: header X: 1 {HOW}", found(IN_HEADER, "Subject: ?")),
    ),
    "after-discard": Case(
        HEAD + "Y: \xff\nX: 1\nSubject: \xff\n\nbad\n",
        {"strict_8bitmime": "yes", "header_checks": rules("/^X/ DISCARD"), "body_checks": rules("/bad/ WARN")},
        log=(found(IN_HEADER, "Y: ?"), f"discard: header X: 1 {HOW}"),
        queued="",
    ),
    "nesting": Case(nested(5), {"mime_nesting_limit": "2"}),
    "nesting-checked": Case(nested(4), {"mime_nesting_limit": "2", "body_checks": "static:DUNNO"}),
    "nesting-refused": refused(
        nested(5),
        (NESTING, "Content-Type: multipart/mixed; boundary=b4"),
        mime_nesting_limit="2",
        body_checks="static:OK",
    ),
    "boundary-length": Case(
        f"{HEAD}Content-Type: multipart/mixed; boundary=bbbb\n\n--bbxx\nX: 1\n\n",
        {"mime_boundary_length_limit": "2", "header_checks": rules("/^X: 1/ WARN")},
        log=(f"warning: header X: 1 {HOW}",),
    ),
    "characters-header": Case(
        HEAD + "Subject: a\x07b\n\nb\n",
        {"message_reject_characters": r"\a\v"},
        CHARACTERS,
        (f"reject: content Subject: a?b {HOW}: 5.7.1 disallowed character",),
    ),
    "characters-body": Case(
        HEAD + "\nbo\x0bdy\x07\nsecond\x07\n",
        {"message_reject_characters": r"\a\v"},
        CHARACTERS,
        (f"reject: content bo?dy? {HOW}: 5.7.1 disallowed character",),
    ),
    "characters-in-a-long-line": Case(
        HEAD + "\ny\n" + "x" * 40_000 + "\x07\n",
        {"message_reject_characters": r"\a"},
        CHARACTERS,
        (f"reject: content {'x' * 200} {HOW}: 5.7.1 disallowed character",),
    ),
    "characters-before-the-header-above": Case(
        HEAD + "X: 1\nSubject: ab\x07\n\n",
        {"message_reject_characters": r"\007", "header_checks": rules("/^X/ REJECT")},
        CHARACTERS,
        (f"reject: content Subject: ab? {HOW}: 5.7.1 disallowed character",),
    ),
    "characters-behind-a-check": Case(
        HEAD + "X: 1\nY: 1\n\nb\x07\n",
        {"message_reject_characters": r"\007", "header_checks": rules("/^X/ REJECT after")},
        "550 5.7.1 after",
        (f"reject: header X: 1 {HOW}: 5.7.1 after",),
    ),
    "characters-after-pass": Case(
        HEAD + "X: 1\nY: 1\n\nb\x07\x0b\nbad\n",
        {
            "message_reject_characters": r"\a",
            "message_strip_characters": r"\v",
            "header_checks": rules("/^X/ PASS"),
            "body_checks": rules("/bad/ REJECT"),
        },
        log=(f"pass: header X: 1 {HOW}",),
        queued=HEAD + "X: 1\nY: 1\n\nb\x07\nbad\n",
    ),
    "stripped-before-it-is-checked": Case(
        HEAD + "X: \x0b1\nY: 1\n\nb\x07\n",
        {
            "message_reject_characters": r"\a",
            "message_strip_characters": r"\v",
            "header_checks": rules("/^X: 1/ REJECT after"),
        },
        "550 5.7.1 after",
        (f"reject: header X: 1 {HOW}: 5.7.1 after",),
    ),
    "stripped": Case(
        HEAD + "Subject: a\x07b\n\nbo\x0bdy\x00\n\x07\n",
        {"message_strip_characters": r"\a\v\0"},
        queued=HEAD + "Subject: ab\n\nbody\n\n",
    ),
    "converted": Case(
        PART.format("Content-Transfer-Encoding: 8bit\n"),
        {"force_mime_input_conversion": "yes", "body_checks": rules("/=F6/ WARN")},
        log=(f"warning: body w=F6rld {HOW}",),
        queued=HEAD
        + MULTIPART
        + "\n--b\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nw=F6rld\n--b--\n",
    ),
    "rewritten-header-size": Case(
        HEAD + "To: a, b, c, d, e\n\n",
        {"header_size_limit": "75"},
        queued=HEAD + "To: a@example.test, b@example.test, c@example.test, d@example.test,\n\n",
    ),
    "token-limit": Case(
        HEAD + "To: a, b, c, d\n\n",
        {"header_address_token_limit": "3"},
        queued=HEAD + "To: a@example.test, b@example.test\n\n",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_strict(receiver: MakeReceiver, case: Case) -> None:
    """Each setting: what it refuses, and what it lets pass."""
    check(receiver, case)


@pytest.mark.parametrize(
    ("header", "main", "encoding"),
    [
        ("Content-Transfer-Encoding: 8bit\n", {}, "8bit"),
        ("Content-Transfer-Encoding: Binary\n", {"strict_8bitmime": "yes"}, "8bit"),
        ("Content-Transfer-Encoding: base64\n", {}, ""),
        ("Content-Transfer-Encoding: 8bit\n", {"detect_8bit_encoding_header": "no"}, ""),
        ("content-transfer-encoding: 8bit\n", {"detect_8bit_encoding_header": "no", "strict_8bitmime": "yes"}, ""),
    ],
)
def test_parts_say_how_the_message_is_encoded(
    receiver: MakeReceiver, header: str, main: dict[str, str], encoding: str
) -> None:
    """Whether their structure is looked at or not."""
    check(receiver, Case(PART.format(header), main, envelope={"encoding": encoding}))
