"""PyO3's changelog, read from its text."""

from leakgrid.changelog import between, leaks, others, ranked, read

TEXT = """# Changelog

Words before the first release - none of them an entry.

## [0.30.1] - 2026-10-14

### Packaging

- Support PyPy 3.12. [#6448](https://example.org/6448)

## [0.30.0] - 2026-10-13

### Changed

- Optimize PyO3's internal reference pool.

### Fixed

- Fix possible memory leak of `#[pyclass]` types. [#6269](https://example.org/6269)
- `experimental-inspect`:
  - Fix a panic in stub
    generation.
- Fix linking.

## [0.29.2] - 2026-08-05

### Fixed

- Fix reference count leak of `#[classattr]` values.
- Fix a docstring of a class.

## 0.29.0-beta.1
### Fixed
* Fix a crash when dropping.
"""


def test_entries_have_their_release_and_section():
    notes = read(TEXT)
    assert [(n.version, n.date, n.section) for n in notes[:2]] == [
        ("0.30.1", "2026-10-14", "Packaging"),
        ("0.30.0", "2026-10-13", "Changed"),
    ]
    assert notes[-1].version == "0.29.0-beta.1"
    assert notes[-1].text == "Fix a crash when dropping."


def test_entries_below_a_heading_and_over_several_lines_are_whole():
    assert "`experimental-inspect`: Fix a panic in stub generation." in [n.text for n in read(TEXT)]


def test_releases_that_the_index_does_not_have_lie_between_two_that_it_has():
    assert {n.version for n in between(read(TEXT), "0.29.2", "0.30.1")} == {"0.30.0", "0.30.1"}
    assert {n.version for n in between(read(TEXT), "0.29.0", "0.29.2")} == {"0.29.2"}


def test_what_speaks_of_leaks_comes_first_and_nothing_is_left_out():
    notes = between(read(TEXT), "0.29.2", "0.30.1")
    told = ranked(notes, "type objects held by native code")
    assert told[0].text.startswith("Fix possible memory leak")
    assert told[1].text.startswith("Optimize PyO3's internal reference pool")
    assert [n.about > 0 for n in told] == [True, True, False, False]
    assert len(told) + others(notes) == len(notes)


def test_of_the_others_those_near_to_the_cause_come_first():
    told = ranked(between(read(TEXT), "0.29.0", "0.29.2"), "references to attributes of classes")
    assert [n.near for n in told] == [1, 1]
    assert told[0].about > told[1].about == 0


def test_leaks_are_those_that_say_so_outright():
    texts = [n.text for n in leaks(read(TEXT), "references to attributes of classes")]
    assert [text[:21] for text in texts] == ["Fix reference count l", "Fix possible memory l"]


def test_a_text_of_another_form_has_no_entries():
    assert read("") == read("PyO3\n====\n\n- what is this\n") == ()
