"""The macro language: what each form gives, which texts are refused, and that nothing else is ever raised."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.expand import (
    FUNCTIONS,
    MAX_DEPTH,
    Expansion,
    ExpansionLoopError,
    compare,
    domain_to_ascii,
    expand,
    expand_value,
)

NAMES = {"set": "value", "empty": "", "other": "more", "alias": "$set", "to_empty": "$empty", "level": "3.6"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$set", "value"),
        ("${set}", "value"),
        ("$(set)", "value"),
        ("${ set }", "value"),
        ("a$$b", "a$b"),
        ("$set-$other", "value-more"),
        ("$alias", "value"),
        ("${set?yes}", "yes"),
        ("${set:no}", ""),
        ("${empty?yes}", ""),
        ("${empty:no}", "no"),
        ("${set?{a}:{b}}", "a"),
        ("${empty?{a}:{b}}", "b"),
        ("${empty?{a}:b c}", "b c"),
        ("x${set?{ a }}y", "x a y"),
        ("${to_empty?{raw text counts}}", "raw text counts"),
        ("${{$set} == {value} ? {same} : {different}}", "same"),
        ("${{$set} != {value} ? {different} : {same}}", "same"),
        ("${{1} < {2}}", "true"),
        ("${{2} < {1}}", ""),
        ("${{10} > {9}}", "true"),
        ("${{a10} > {a9}}", ""),
        ("${{01} == {1}?{number}:{text}}", "number"),
        ("${{$level} <level {3.11} ? {old} : {new}}", "old"),
        ("${{$level} >=level {3.6} ? {new} : {old}}", "new"),
        ("${{$level} ==level {3.6.0} ? {same}}", "same"),
        ("${{$level} !=level {3.6} ? {other}}", ""),
        ("${{$level} <=level {3.6} ? {ok}}", "ok"),
        ("${{$level} >level {3.5} ? {ok}}", "ok"),
        ("${{$set} == {no}?{a}:{$other}}", "more"),
        ("${domain_to_ascii{b\u00fccher.example}}", "xn--bcher-kva.example"),
        ("${domain_to_ascii{ $set }}", "value"),
    ],
)
def test_forms_give_their_result(text: str, result: str) -> None:
    """Each form of the language gives what postconf(5) says."""
    assert expand_value(text, NAMES.get) == Expansion(result)


@pytest.mark.parametrize("text", ["$nobody", "${nobody}", "${set?{$nobody}}", "${{$nobody} == {}}"])
def test_a_name_without_value_is_empty_and_told(text: str) -> None:
    """An undefined name gives nothing, and the caller learns of it."""
    result = expand_value(text, NAMES.get)
    assert result.undefined
    assert not result.syntax_error


def test_a_test_alone_does_not_make_a_name_undefined() -> None:
    """${name?x} may ask for names that nobody sets."""
    assert expand_value("${nobody?x}${nobody:y}", NAMES.get) == Expansion("y")


@pytest.mark.parametrize(
    ("text", "made", "problem"),
    [
        ("a${set", "a", 'truncated macro reference: "a${set"'),
        ("a$-b", "a", 'empty macro name: "a$-b"'),
        ("a$", "a", 'empty macro name: "a$"'),
        ("${se t}", "", 'attribute name syntax error at: "...se>>> t"'),
        ("${}", "", 'attribute name syntax error at: "...>>>"'),
        ("${set!x}", "", 'attribute name syntax error at: "...set>>>!x"'),
        ("${no_function{x}}", "", 'attribute name syntax error at: "...no_function>>>{x}"'),
        ("${{a}}", "", '"==" or "!="" or "<"" or "<="" or ">="" or ">" expected at: "...a}>>>"'),
        ("${{a} =! {b}}", "", '"==" or "!="" or "<"" or "<="" or ">="" or ">" expected at: "...a}>>>=! {b}"'),
        ("${{a} ==nolevel {b}}", "", 'bad operator suffix at: "...==>>>nolevel"'),
        ("${{a} == b}", "", '"{" expected at: "...>>>b"'),
        ("${{a} == {b} x}", "", '"?" or ":" expected at: "...b}>>>x"'),
        ("${set?{a}x}", "a", '":" expected at: "...a}>>>x"'),
        ("${set?{a}:{b}x}", "a", 'unexpected input at: "...b}>>>x"'),
        ("${empty:{a}:{b}}", "a", 'unexpected input at: "...a}>>>:{b}"'),
        ("${domain_to_ascii{x}y}", "", 'unexpected input at: "...x}>>>y"'),
        ("${{$set} <level {3}}", "", 'malformed compatibility level syntax: "value"'),
        ("${{$-} == {a}}", "", 'empty macro name: "$-"'),
    ],
)
def test_wrong_syntax_is_told_with_its_place(text: str, made: str, problem: str) -> None:
    """What was made before the mistake is kept; the message shows where it is, as Postfix writes it."""
    assert expand_value(text, NAMES.get) == Expansion(made, syntax_error=True, problems=(problem,))


@pytest.mark.parametrize("text", ["${{a == {b}", "${{a", "${domain_to_ascii{x}"])
def test_unbalanced_brackets_are_wrong_syntax(text: str) -> None:
    """A bracket that is not closed never runs away."""
    assert expand(text, NAMES.get, FUNCTIONS).syntax_error


def test_brackets_of_the_other_kind_do_not_count() -> None:
    """In ${...} only braces are counted, in $(...) only round brackets."""
    assert expand("${{(} == {(}}$(set?{a)", NAMES.get) == Expansion("true{a")
    assert expand("$({x)", NAMES.get).problems == ('"}" expected at: "...{x>>>"',)
    assert expand("$(f{x)", NAMES.get, {"f": str}).problems == ('"}" expected at: "...{x>>>"',)


def test_circles_are_found() -> None:
    """Names that refer to each other are an error that shows the circle."""
    names = {"a": "x$b", "b": "${c}", "c": "$a"}
    with pytest.raises(ExpansionLoopError, match="a -> b -> c -> a"):
        expand_value("$a", names.get)


def test_too_deep_nesting_is_refused() -> None:
    """A chain without a circle has a limit too."""
    names = {f"n{i}": f"$n{i + 1}" for i in range(MAX_DEPTH + 2)}
    with pytest.raises(ExpansionLoopError, match="unreasonable"):
        expand_value("$n0", names.get)


def test_without_recursion_values_are_taken_as_they_are() -> None:
    """The library's expand() does not look into values."""
    assert expand("$alias", NAMES.get).text == "$set"


@given(st.text(alphabet="${}()?:=<>!&ab 1\n\t\u00e4", max_size=40))
def test_no_text_makes_it_raise(text: str) -> None:
    """Whatever stands in main.cf, expansion ends with a result or a named circle."""
    try:
        result = expand_value(text, {"a": "$b", "b": "x", "ab": "${a?b}"}.get)
    except ExpansionLoopError:
        return
    assert bool(result.problems) == result.syntax_error


@given(st.text(max_size=30))
def test_text_without_dollar_is_itself(text: str) -> None:
    """Nothing but the dollar sign is special."""
    assert expand_value(text.replace("$", "$$"), NAMES.get).text == text


@given(st.integers(0, 10**25), st.integers(0, 10**25), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
def test_numbers_compare_as_numbers(left: int, right: int, operator: str) -> None:
    """Of any length, and with leading zeros."""
    expected = {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right}
    expected |= {">": left > right, ">=": left >= right}
    assert compare(operator, f"00{left}", str(right)) is expected[operator]


def test_ascii_domains_stay() -> None:
    """Only labels with other characters are converted."""
    assert domain_to_ascii(" mail.example.com ") == "mail.example.com"


PARTS = st.sampled_from(
    ["x", " ", "$a", "${b}", "$(c)", "${a?{y}:{z}}", "${d:w}", "${{$a} == {1} ? {=} : {$b}}", "{", "}"]
)


@given(st.lists(PARTS, max_size=8).map("".join))
def test_what_was_expanded_expands_to_itself(text: str) -> None:
    """As long as no value has a dollar sign in it."""
    names = {"a": "1", "b": "two words", "c": ""}
    result = expand_value(text, names.get)
    if not result.syntax_error:
        assert "$" not in result.text
        assert expand_value(result.text, names.get).text == result.text


@given(st.dictionaries(st.sampled_from("abcdef"), st.text(alphabet="xyz ", max_size=5)), st.sampled_from("abcdef"))
def test_the_forms_of_a_reference_agree(names: dict[str, str], name: str) -> None:
    """$name, ${name} and $(name) are one thing; the two alternatives of a test make up the whole."""
    plain, braces, brackets = (expand_value(form, names.get) for form in (f"${name}", f"${{{name}}}", f"$({name})"))
    assert plain == braces == brackets == Expansion(names.get(name, ""), undefined=name not in names)
    chosen = [expand_value(f"${{{name}{mark}x}}", names.get).text for mark in "?:"]
    assert sorted(chosen) == ["", "x"]
    assert expand_value(f"${{{name}?{{x}}:{{y}}}}", names.get).text == ("x" if names.get(name) else "y")


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6))
def test_chains_of_names_end_at_a_value_or_in_a_circle(chain: list[str]) -> None:
    """Each name refers to the next one; a name that comes twice makes a circle."""
    names = {name: f"${following}" for name, following in pairwise(chain)}
    names.setdefault(chain[-1], "end")
    if len(set(chain)) == len(chain):
        assert expand_value(f"${chain[0]}", names.get).text == "end"
    elif _ends_nowhere(names, chain[0]):
        with pytest.raises(ExpansionLoopError):
            expand_value(f"${chain[0]}", names.get)


def _ends_nowhere(names: dict[str, str], name: str) -> bool:
    for _ in range(len(names) + 1):
        name = names[name].removeprefix("$")
        if name == "end":
            return False
    return True
