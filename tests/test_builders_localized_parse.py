import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.parse import RawTriple, parse_reply

Q1, A1, R1 = "What will [0] do next?", "[0] will dive.", "[0] leans over the edge."
Q2, A2, R2 = "Who owns [2]?", "[1] does.", "[1] holds its leash: firmly."
Q3, A3, R3 = "Why is [3] wet?", "It rained.", "The ground around [3] is wet too."
ONE, TWO, THREE = RawTriple(Q1, A1, R1), RawTriple(Q2, A2, R2), RawTriple(Q3, A3, R3)
ALL = [ONE, TWO, THREE]


def plain(question: str, answer: str, rationale: str) -> str:
    return f"Question: {question}\nAnswer: {answer}\nRationale: {rationale}"


THREE_PLAIN = "\n\n".join(plain(t.question, t.answer, t.rationale) for t in ALL)
AS_DICTS = [{"question": t.question, "answer": t.answer, "rationale": t.rationale} for t in ALL]


def each(template: str, joint: str = "\n\n") -> str:
    return joint.join(template.format(n=n, q=t.question, a=t.answer, r=t.rationale) for n, t in enumerate(ALL, start=1))


WHOLE_REPLIES = {
    "as asked": THREE_PLAIN,
    "no blank lines": THREE_PLAIN.replace("\n\n", "\n"),
    "windows line ends": THREE_PLAIN.replace("\n", "\r\n"),
    "short labels": each("Q: {q}\nA: {a}\nR: {r}"),
    "numbered short labels": each("Q{n}. {q}\nA{n}. {a}\nR{n}. {r}"),
    "numbered short labels with brackets": each("Q{n}) {q}\nA{n}) {a}\nR{n}) {r}"),
    "numbered short labels with colons": each("Q{n}: {q}\nA{n}: {a}\nR{n}: {r}"),
    "letters with full stops": each("Q. {q}\nA. {a}\nR. {r}"),
    "bold labels, colon inside": each("**Question:** {q}\n**Answer:** {a}\n**Rationale:** {r}"),
    "bold labels, colon outside": each("**Question**: {q}\n**Answer**: {a}\n**Rationale**: {r}"),
    "bold labels, no colon": each("**Question {n}** {q}\n**Answer** {a}\n**Rationale** {r}"),
    "bold numbered": each("**Question {n}:** {q}\n\n**Answer {n}:** {a}\n\n**Rationale {n}:** {r}"),
    "bold lines": each("**Question: {q}**\n**Answer: {a}**\n**Rationale: {r}**"),
    "italic labels": each("*Question:* {q}\n*Answer:* {a}\n_Rationale:_ {r}"),
    "numbered list": each("{n}. Question: {q}\n   Answer: {a}\n   Rationale: {r}"),
    "numbered list, bold": each("{n}. **Question:** {q}\n   - **Answer:** {a}\n   - **Rationale:** {r}"),
    "numbered fields": each("1. Question: {q}\n2. Answer: {a}\n3. Rationale: {r}"),
    "number alone on its line": each("{n}.\nQuestion: {q}\nAnswer: {a}\nRationale: {r}"),
    "numbered list without the question's label": each("{n}. {q}\n   Answer: {a}\n   Rationale: {r}"),
    "the same in bold, tight": each("**{n}. {q}**\n- Answer: {a}\n- Rationale: {r}", "\n"),
    "no labels at all": each("{n}. {q}\n   - {a}\n   - {r}"),
    "bullets": each("- Question: {q}\n- Answer: {a}\n- Rationale: {r}"),
    "round bullets": each("• Question: {q}\n• Answer: {a}\n• Rationale: {r}"),
    "headings of triples": each("### Triple {n}\nQuestion: {q}\nAnswer: {a}\nRationale: {r}"),
    "headings with titles": each("## QAR {n}: something fun\n\nQuestion: {q}\nAnswer: {a}\nRationale: {r}"),
    "bold headings": each("**Response {n}:**\n\nQuestion: {q}\nAnswer: {a}\nRationale: {r}"),
    "headings as labels": each("### Question {n}\n{q}\n### Answer\n{a}\n### Rationale\n{r}"),
    "heading repeats the label": each("### Question {n}\nQuestion: {q}\nAnswer: {a}\nRationale: {r}"),
    "ordinals": "\n".join(
        f"{word} triple:\n{plain(t.question, t.answer, t.rationale)}"
        for word, t in zip(("First", "Second", "Third"), ALL, strict=True)
    ),
    "rules between": each("Question: {q}\nAnswer: {a}\nRationale: {r}", "\n\n---\n\n"),
    "one line each": each("Question: {q} Answer: {a} Rationale: {r}", "\n"),
    "one line each, letters": each("Q: {q} A: {a} R: {r}", "\n"),
    "one line each, bars": each("Question: {q} | Answer: {a} | Rationale: {r}", "\n"),
    "everything in one line": each("Question: {q} Answer: {a} Rationale: {r}", " "),
    "everything in one line, numbered": each("Q{n}: {q} A{n}: {a} R{n}: {r}", " "),
    "preamble": f"Sure! Here are three triples about the scene:\n\n{THREE_PLAIN}",
    "preamble in the line": f"Of course. {THREE_PLAIN}",
    "closing remark": f"{THREE_PLAIN}\n\nI hope these are fun enough! Would you like more?",
    "closing remark, tight": f"{THREE_PLAIN}\nLet me know if you need more.",
    "other words for rationale": f"Question: {Q1}\nAnswer: {A1}\nReason: {R1}\n\n"
    f"Question: {Q2}\nAnswer: {A2}\nExplanation: {R2}\n\nQuestion: {Q3}\nAnswer: {A3}\nReasoning: {R3}",
    "full-width colons": each("Question：{q}\nAnswer：{a}\nRationale：{r}"),
    "dashes": each("Question - {q}\nAnswer - {a}\nRationale - {r}"),
    "capitals": each("QUESTION: {q}\nANSWER: {a}\nRATIONALE: {r}"),
    "lower case": each("question: {q}\nanswer: {a}\nrationale: {r}"),
    "remark in brackets": each("Question {n} (inference): {q}\nAnswer: {a}\nRationale: {r}"),
    "quotation marks": each('Question: "{q}"\nAnswer: "{a}"\nRationale: “{r}”'),
    "quoted": each("> Question: {q}\n> Answer: {a}\n> Rationale: {r}"),
    "text under labels": each("Question:\n{q}\n\nAnswer:\n{a}\n\nRationale:\n{r}"),
    "tags": each("<question>{q}</question>\n<answer>{a}</answer>\n<rationale>{r}</rationale>"),
    "tags in a line": each("<triple><question>{q}</question><answer>{a}</answer><rationale>{r}</rationale></triple>"),
    "labels in brackets": each("[Question] {q}\n[Answer] {a}\n[Rationale] {r}"),
    "table": "| # | Question | Answer | Rationale |\n|---|---|---|---|\n" + each("| {n} | {q} | {a} | {r} |", "\n"),
    "code fence": f"```\n{THREE_PLAIN}\n```",
    "json list": json.dumps(AS_DICTS),
    "json, indented": json.dumps(AS_DICTS, indent=2),
    "json in a fence": f"Here you go:\n```json\n{json.dumps(AS_DICTS, indent=1)}\n```\nEnjoy!",
    "json object": json.dumps({"triples": AS_DICTS}),
    "json, deeper": json.dumps({"scene": {"qars": [{"id": 1, "qar": one} for one in AS_DICTS]}}),
    "json lines": "\n".join(map(json.dumps, AS_DICTS)),
    "json, other keys": json.dumps([{"Q": t.question, "A": t.answer, "Reason": t.rationale} for t in ALL]),
    "json, numbered keys": json.dumps(
        {
            f"{name}_{n}": text
            for n, t in enumerate(ALL)
            for name, text in zip(("question", "answer", "rationale"), (t.question, t.answer, t.rationale), strict=True)
        }
    ),
    "json by name": json.dumps({f"triple{n}": one for n, one in enumerate(AS_DICTS)}),
    "json with a comma too many": json.dumps(AS_DICTS, indent=2).replace("\n  }", ",\n  }"),
    "json with an object broken": json.dumps(AS_DICTS, indent=2)[:-1] + ",]",
}


@pytest.mark.parametrize("name", WHOLE_REPLIES)
def test_whole_replies_in_every_dress(name: str) -> None:
    assert parse_reply(WHOLE_REPLIES[name]) == ALL


HOLES = {
    f"Question: {Q1}\nRationale: {R1}\nAnswer: {A1}\n\nQuestion: {Q2}\nRationale: {R2}\nAnswer: {A2}": [ONE, TWO],
    f"Question: {Q1}\nRationale: {R1}\n\nAnswer: {A2}\nRationale: {R2}\n\n{plain(Q3, A3, R3)}": [
        RawTriple(Q1, "", R1),
        RawTriple("", A2, R2),
        THREE,
    ],
    "": [],
    "I'm sorry, I can't help with that.": [],
    "Question:": [],
    f"Question: {Q1}": [RawTriple(Q1)],
    f"{THREE_PLAIN[: THREE_PLAIN.index(A2)]}": [ONE, RawTriple(Q2)],
    f"Question: {Q1}\nAnswer: {A1}\n\nQuestion: {Q2}\nAnswer: {A2}\nRationale: {R2}": [RawTriple(Q1, A1), TWO],
    f"Question: {Q1}\nRationale: {R1}\n\n{plain(Q2, A2, R2)}": [RawTriple(Q1, "", R1), TWO],
    f"Answer: {A1}\nRationale: {R1}\n\n{plain(Q2, A2, R2)}": [RawTriple("", A1, R1), TWO],
    f"{plain(Q1, A1, R1)}\n\nAnswer: {A2}\nRationale: {R2}": [ONE, RawTriple("", A2, R2)],
    f"Question: {Q1}\nAnswer:\nRationale: {R1}": [RawTriple(Q1, "", R1)],
    f"Question: {Q1}\nAnswer: N/A\nRationale: ...": [RawTriple(Q1)],
    f"Question: {Q1}\nAnswer: **\nRationale: {R1}": [RawTriple(Q1, "", R1)],
    json.dumps([{"question": Q1, "answer": None, "rationale": R1}]): [RawTriple(Q1, "", R1)],
    json.dumps([{"question": Q1, "answer": 3, "rationale": [A1, R1]}]): [RawTriple(Q1, "3", f"{A1} {R1}")],
    json.dumps(AS_DICTS)[: json.dumps(AS_DICTS).index(A3) + 4]: [ONE, TWO, RawTriple(Q3, f'"{A3[:4]}')],
}


@pytest.mark.parametrize("text", HOLES)
def test_holes_stay_where_they_are(text: str) -> None:
    assert parse_reply(text) == HOLES[text]


def test_labels_in_a_line_need_no_full_stop_before_them() -> None:
    text = "Q: Who is [0] A: a surfer R: [0] stands on a board Q: Why?  A: fun"
    assert parse_reply(text) == [
        RawTriple("Who is [0]", "a surfer", "[0] stands on a board Q: Why?"),
        RawTriple("", "fun"),
    ]


def test_a_field_over_several_lines_is_joined() -> None:
    text = "Question: What will [0]\ndo next?\nAnswer: [0]\n  will dive.\nRationale: [0] leans\nover\nthe edge.\n\nBye."
    assert parse_reply(text) == [ONE]


def test_words_that_only_look_like_labels_stay_text() -> None:
    triple = RawTriple(
        "What does the note say, as an answer to [0]?",
        "The Answer to life: it is on [1].",
        "A reason to smile is plan A and R2 of [0] (question: none).",
    )
    assert parse_reply(plain(triple.question, triple.answer, triple.rationale)) == [triple]
    wrapped = f"Question: {Q1}\nAnswer: {A1}\nRationale: [0] leans over for one\nreason. Nothing holds it."
    assert parse_reply(wrapped) == [RawTriple(Q1, A1, "[0] leans over for one reason. Nothing holds it.")]


def test_a_number_or_a_tag_can_be_the_answer() -> None:
    assert parse_reply("Question: How many boats?\nAnswer: 3\nRationale: Two and one.")[0].answer == "3"
    assert parse_reply("Question: How many boats?\nAnswer:\n3\nRationale: Two and one.")[0].answer == "3"
    assert parse_reply("Question: Who leads?\nAnswer:\n[0]\nRationale: [0] is first.")[0].answer == "[0]"


def test_quotation_marks_within_a_field_stay() -> None:
    text = 'Question: Why does [0] say "stop"?\nAnswer: "Stop" means "wait" here.\nRationale: The sign reads "wait".'
    assert parse_reply(text)[0] == RawTriple(
        'Why does [0] say "stop"?', '"Stop" means "wait" here.', 'The sign reads "wait".'
    )


WORD = st.from_regex(r"[a-zäé]{2,9}", fullmatch=True).filter(
    lambda w: not w.startswith(("hope", "note", "if", "let", "na", "tbd", "null"))
)
SENTENCE = st.lists(WORD, min_size=2, max_size=8).map(lambda words: "The " + " ".join(words))
TRIPLES = st.lists(
    st.builds(
        RawTriple,
        SENTENCE.map(lambda s: f"{s} [0]?"),
        SENTENCE.map(lambda s: f"{s}."),
        SENTENCE.map(lambda s: f"{s} [1]."),
    ),
    min_size=1,
    max_size=6,
)
STYLES = {
    "plain": ("Question: {q}\nAnswer: {a}\nRationale: {r}", "\n\n"),
    "letters": ("Q{n}: {q}\nA{n}: {a}\nR{n}: {r}", "\n"),
    "bold list": ("{n}. **Question:** {q}\n   - **Answer:** {a}\n   - **Explanation:** {r}", "\n"),
    "headings": ("### Triple {n}\n**Question** {q}\n**Answer** {a}\n**Rationale** {r}", "\n---\n"),
    "lines": ("Question: {q} Answer: {a} Rationale: {r}", "\n"),
    "one line": ("Q: {q} A: {a} R: {r}", " "),
    "table": ("| {q} | {a} | {r} |", "\n"),
    "crlf": ("Question:\r\n{q}\r\nAnswer:\r\n{a}\r\nReason:\r\n{r}", "\r\n\r\n"),
}


@given(TRIPLES, st.sampled_from([*STYLES, "json"]), st.booleans())
def test_what_is_written_in_any_style_is_read_back(triples: list[RawTriple], style: str, framed: bool) -> None:
    if style == "json":
        text = json.dumps([{"question": t.question, "answer": t.answer, "rationale": t.rationale} for t in triples])
    else:
        template, joint = STYLES[style]
        text = joint.join(
            template.format(n=n, q=t.question, a=t.answer, r=t.rationale) for n, t in enumerate(triples, start=1)
        )
    if style == "table":
        text = f"| Question | Answer | Rationale |\n|---|---|---|\n{text}"
    if framed:
        text = f"Certainly! Here they are:\n\n{text}\n\nI hope this helps!"
    assert parse_reply(text) == triples


PIECES = st.sampled_from(
    ["Question:", "A:", "**R:**", "\n", "\n\n", "|", "1.", "{", "}", '"question":', "[0]", "```json", "?", "word ", "#"]
)


@given(st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=60).map("".join)))
def test_nothing_makes_it_raise(text: str) -> None:
    for triple in parse_reply(text):
        assert all(field == " ".join(field.split()) for field in (triple.question, triple.answer, triple.rationale))


JUNK = {
    "letters": "a",
    "question labels": "Question: ",
    "inline labels": "x Answer: ",
    "lines of labels": "Q: a\n",
    "open objects": '{"question": ',
    "nested objects": '{"question": {"a":',
    "open lists": "[",
    "braces": '{"',
    "stars": "*",
    "spaces": " ",
    "spaces and labels": "          A:",
    "hashes": "# ",
    "bars": "|",
    "table rows": "| Question | Answer |\n",
    "numbers": "1. ",
    "numbered questions": "1. a?\n",
    "quotation marks": '"',
    "tags": "<question>",
    "ends of tags": "</",
    "dashes": "-",
    "blank lines": "\n",
    "questions": "?",
}


@pytest.mark.parametrize("depth", [101, 1_200, 100_000])
def test_a_text_that_nests_deeper_than_any_triple_is_read_line_by_line(depth: int) -> None:
    brackets = "[" * depth + "]" * depth
    [hole] = parse_reply(f'{{"question": "Why?", "more": {brackets}}}')
    assert (hole.answer, hole.rationale) == ("", "")
    [triple] = parse_reply(f'{{"question": "Why?", "answer": "So.", "more": {brackets[:60]}{brackets[-60:]}}}')
    assert (triple.question, triple.answer) == ("Why?", "So.")


@pytest.mark.parametrize("name", JUNK)
@pytest.mark.timeout(20)  # milliseconds if linear; minutes if quadratic in the length of the junk
def test_junk_comes_to_an_end(name: str) -> None:
    text = JUNK[name] * (100_000 // len(JUNK[name]))
    parse_reply(text)
    parse_reply('{"question": "' + text)
