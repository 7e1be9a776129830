from __future__ import annotations

from leakgrid.registry import CrateVersion
from leakgrid.watch import releases


def entries(*versions: str) -> tuple[CrateVersion, ...]:
    """``!`` marks a yanked one."""
    return tuple(CrateVersion(v.rstrip("!"), yanked=v.endswith("!")) for v in versions)


def proposed(news: releases.News) -> list[str]:
    return [release.version for release in news.proposals]


def test_without_a_look_before_the_matrix_is_what_is_known() -> None:
    index = entries("0.27.0", "0.28.3", "0.28.4", "0.29.0", "0.29.1", "0.29.2", "0.31.0")
    news = releases.news(index, known=None, matrix=["0.28.3", "0.29.1"])
    assert [release.version for release in news.new] == ["0.28.4", "0.29.2", "0.31.0"]
    assert proposed(news) == ["0.28.4", "0.29.2", "0.31.0"]
    assert [release.kind for release in news.new] == ["patch", "patch", "minor"]


def test_the_newest_of_each_minor_is_proposed_and_the_others_say_why_not() -> None:
    index = entries("0.29.0", "0.29.1", "0.29.2", "0.30.0!", "0.30.1", "0.31.0-beta.1", "1.0.0")
    news = releases.news(index, known=entries("0.29.0"), matrix=["0.29.0"], specifier="<1")
    assert proposed(news) == ["0.29.2", "0.30.1"]
    assert {release.version: release.why_not for release in news.new} == {
        "0.29.1": "0.29.2 came after it",
        "0.29.2": "",
        "0.30.0": "it is yanked",
        "0.30.1": "",
        "0.31.0-beta.1": "pre-releases are not followed (--pre)",
        "1.0.0": "it is outside of the watched range <1",
    }
    assert news.new[-1].kind == "major"
    assert news.newest == CrateVersion("0.30.1", yanked=False)


def test_what_was_seen_before_and_is_not_evaluated_stays_a_proposal() -> None:
    index = entries("0.29.0", "0.30.1")
    news = releases.news(index, known=index, matrix=["0.29.0"])
    assert (news.new, proposed(news)) == ((), ["0.30.1"])


def test_a_version_older_than_the_one_evaluated_of_its_minor_is_no_proposal() -> None:
    news = releases.news(entries("0.29.0", "0.29.1", "0.29.2"), known=None, matrix=["0.29.2"])
    assert (news.new, news.proposals) == ((), ())


def test_changes_of_yanked_need_a_look_before_and_withdrawn_ones_do_not() -> None:
    index = entries("0.28.0!", "0.28.1", "0.28.2!")
    first = releases.news(index, known=None, matrix=["0.28.0"])
    assert (first.yanked, first.unyanked, first.withdrawn) == ((), (), ("0.28.0",))
    later = releases.news(index, known=entries("0.28.0", "0.28.1!", "0.28.2!"), matrix=["0.28.1"])
    assert (later.yanked, later.unyanked, later.withdrawn) == (("0.28.0",), ("0.28.1",), ())


def test_pre_releases_beside_those_of_other_rules_than_pythons_break_nothing() -> None:
    index = entries("0.30.0", "0.31.0-odd.name.1")
    news = releases.news(index, known=None, matrix=["0.30.0"], specifier=">=0.29", pre=True)
    assert news.proposals == ()
    assert news.new[0].why_not == "it is outside of the watched range >=0.29"
