"""The default knowledge answers what a new user asks: searched and quoted as the offline stack does it."""

import re
from functools import lru_cache
from pathlib import Path

import pytest

from local.bedrock.documents import chunks, read_text
from local.bedrock.prompt import Passage
from local.bedrock.ranking import answerable, choose
from local.bedrock.retrieval import PassageIndex, StoredPassage

KNOWLEDGE = Path(__file__).parents[2] / "knowledge"
DOCUMENTS = sorted(KNOWLEDGE.glob("*.md"))
PASSAGES_FOUND = 5
SENTENCES_QUOTED = 4
FLOOR = 0.9
"""The share of questions whose best passage must answer them: a question may lose to a better passage."""

# (what somebody asks, the documents that answer it, words of the answer)
QUESTIONS = [
    ("How often will a failed delivery be retried, and when do you give up?", "delivery.md", "75 hours"),
    ("How do I check that a callback really comes from Countersign?", "delivery.md", "webhook-signature"),
    ("Can the same reply be sent twice to my server?", "delivery.md", "delivery id"),
    ("What does the callback body look like?", "delivery.md", "case.replied"),
    ("My server answers with a redirect, will you follow it?", "delivery.md", "never followed"),
    ("What happens if I send the same webhook twice?", "webhook-answers.md", "duplicate"),
    ("Why do I get a 503 with Retry-After from the webhook endpoint?", "webhook-answers.md", "503"),
    ("How big may a webhook payload be?", "webhook-answers.md", "1 MiB"),
    ("Why was my GitHub event ignored?", "webhook-answers.md", "ignored"),
    ("What JSON do I have to post to the generic webhook source?", "webhook-answers.md", "case.opened"),
    ("How can I rotate the webhook secret without downtime?", "webhook-signatures.md", "previous"),
    ("Which signature schemes do you support, is Stripe one of them?", "webhook-signatures.md", "stripe"),
    ("How do I sign a request with Standard Webhooks?", "webhook-signatures.md", "webhook-timestamp"),
    ("How do I set up the webhook in my GitHub repository?", "webhook-signatures.md", "Payload URL"),
    ("Where is the secret of a source stored?", "webhook-signatures.md", "Secrets Manager"),
    ("How do I add my own source without writing code?", "sources.md", "YAML"),
    (
        "Can somebody make Countersign send replies to an internal address?",
        "sources.md|security-and-privacy.md",
        "private",
    ),
    ("How do I add our own documentation as knowledge?", "knowledge-and-documents.md", "aws s3 sync"),
    ("Can it read PDF files?", "knowledge-and-documents.md", "PDF"),
    (
        "What does the draft say when the answer is not in our documents?",
        "knowledge-and-documents.md",
        "not in the knowledge",
    ),
    ("How are documents split into chunks?", "knowledge-and-documents.md", "300 tokens"),
    (
        "Is there a way to see what a search would find?",
        "knowledge-and-documents.md|command-line.md",
        "countersign search",
    ),
    ("How long do I have to approve before a draft expires?", "approvals.md", "24 hours"),
    ("Two of us clicked approve at the same time, what happens?", "approvals.md", "first decision wins"),
    ("How can I change the wording of a draft before it goes out?", "approvals.md", "edit"),
    ("How do I send a draft back to be rewritten?", "approvals.md", "respond"),
    ("Where can I see who approved a reply?", "approvals.md", "who decided"),
    ("Can we let harmless answers go out without a human?", "approvals.md", "needed: false"),
    ("What does a citation contain?", "drafts-and-citations.md", "exact quote"),
    ("How does it detect hallucinations?", "drafts-and-citations.md", "unsupported"),
    ("How many times does the reviewer send a draft back to the writer?", "drafts-and-citations.md", "twice"),
    ("What does the status parked mean?", "case-statuses.md", "parked"),
    ("How can I cap what the models spend per day?", "budgets-and-cost.md", "DailyBudgetUsd"),
    ("What does it cost when nobody uses it?", "budgets-and-cost.md", "idle"),
    ("Can I use Ollama with a local model?", "engines-and-models.md", "Ollama"),
    ("How do I switch from roles to a Bedrock agent?", "engines-and-models.md", "bedrock-agent"),
    ("How long do you keep customer data?", "security-and-privacy.md", "CaseFileDays"),
    ("How do you protect against prompt injection?", "security-and-privacy.md", "guardrail"),
    ("What should I do with messages in the dead letter queue?", "operating.md", "redrive"),
    ("How do I redrive a failed case?", "operating.md", "redrive"),
    ("How do I deploy this to AWS?", "deploying.md", "sam deploy"),
    ("Do I need Docker?", "deploying.md|command-line.md|what-countersign-is.md", "Docker"),
    ("How do I authenticate against the REST API?", "api.md", "Bearer"),
    ("How can I start it on another port?", "command-line.md|troubleshooting.md", "--port"),
    (
        "My webhook is rejected with 401, what is wrong?",
        "troubleshooting.md|webhook-signatures.md",
        "signature",
    ),
]

# What this product's documentation says nothing about.
UNANSWERABLE = [
    "What is the capital of Australia?",
    "Do you offer a student discount on the premium subscription?",
    "Which tyres fit a 2014 Volvo V70?",
]


@lru_cache(maxsize=1)
def index() -> PassageIndex:
    return PassageIndex(
        [
            StoredPassage(f"{path.name}#{number}", chunk, path.name, {})
            for path in DOCUMENTS
            for number, chunk in enumerate(chunks(read_text(path.name, path.read_bytes())))
        ]
    )


def found(question: str) -> list[Passage]:
    results = index().search(question)[:PASSAGES_FOUND]
    return [Passage(marker, passage.text, passage.uri) for marker, (passage, _) in enumerate(results, 1)]


def quoted(question: str) -> str:
    return " ".join(said.text for said in choose(question, "", found(question), limit=SENTENCES_QUOTED))


def finds(question: str, documents: str, words: str) -> bool:
    best = found(question)[0]
    return best.document in documents.split("|") and words.lower() in best.text.lower()


def test_best_passage_answers_the_question() -> None:
    lost = [question for question, documents, words in QUESTIONS if not finds(question, documents, words)]
    assert len(lost) <= (1 - FLOOR) * len(QUESTIONS), lost


def test_quoted_sentences_hold_the_answer() -> None:
    lost = [question for question, _, words in QUESTIONS if words.lower() not in quoted(question).lower()]
    assert len(lost) <= (1 - FLOOR) * len(QUESTIONS), lost


def test_every_question_counts_as_answerable() -> None:
    assert [question for question, _, _ in QUESTIONS if not answerable(question, "", found(question))] == []


@pytest.mark.parametrize("question", UNANSWERABLE)
def test_what_is_not_in_the_knowledge_is_not_answered(question: str) -> None:
    assert not answerable(question, "", found(question))


def test_expected_documents_exist() -> None:
    expected = {name for _, documents, _ in QUESTIONS for name in documents.split("|")}
    assert expected <= {path.name for path in DOCUMENTS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_document_has_one_title_and_telling_headings(path: Path) -> None:
    """A passage begins with its headings: they are what makes it found."""
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^(#+) (.+)$", prose, re.MULTILINE)
    assert [level for level, _ in headings].count("#") == 1
    assert headings[0][0] == "#"
    titles = [title for _, title in headings]
    assert len(titles) == len(set(titles))
