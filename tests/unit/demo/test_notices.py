import json

from xds.demo.notices import notice_of


def entry(**fields: object) -> bytes:
    return json.dumps({"timestamp": "2026-01-02T03:04:05Z", "level": "info", **fields}).encode()


def test_a_problem_of_a_rule_says_where_and_what() -> None:
    notice = notice_of(
        entry(
            level="error",
            event="rule problem",
            document="reviews.yaml",
            line=7,
            column=3,
            field="http[0].route[1].wieght",
            problem="unknown field",
            hint="did you mean weight?",
        )
    )
    assert notice is not None
    assert notice.text == (
        "reviews.yaml:7:3: error: http[0].route[1].wieght: unknown field (did you mean weight?)"
    )
    assert notice.level == "error"


def test_what_became_of_a_document_is_shown() -> None:
    notice = notice_of(entry(event="rule document applied", document="reviews.yaml", services=["a", "b"]))
    assert notice is not None
    assert notice.text == "rule document applied; document: reviews.yaml; services: a, b"


def test_other_news_is_not() -> None:
    assert notice_of(entry(event="client connected", node="edge-1")) is None
    assert notice_of(b"") is None


def test_warnings_are_shown_with_their_details() -> None:
    notice = notice_of(entry(level="warning", event="source in trouble", reason="no answer"))
    assert notice is not None
    assert notice.text == "source in trouble; reason: no answer"


def test_of_an_exception_the_first_line_will_do() -> None:
    notice = notice_of(entry(level="error", event="a stream failed", exception="Traceback\n…"))
    assert notice is not None
    assert notice.text == "a stream failed; its log has the whole story"


def test_what_is_not_the_logs_is_shown_as_it_is() -> None:
    notice = notice_of(b"Fatal Python error: \xff")
    assert notice is not None
    assert notice.text == "Fatal Python error: �"
