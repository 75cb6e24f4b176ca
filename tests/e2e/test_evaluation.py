"""`stoa eval` on small question sets: retrieval, answers, access, and two reports compared."""
import json
import re

import pytest

from stoa_server import CHAT, EMBED, Stoa, need_models

TEXTS = {
    "Keys": ("Access keys are rotated every ninety days by the facility team. The rotation is announced in the newsletter.", "How often are access keys rotated?", "every ninety days"),
    "Garden": ("The garden behind the library has forty apple trees. Visitors may pick apples in October.", "How many apple trees does the garden have?", "forty"),
    "Office": ("The office opens at eight in the morning. Visitors sign the book at the gate.", "When does the office open?", "eight in the morning"),
    "Ferry": ("The ferry to the island leaves from the northern harbour. It takes twenty minutes.", "From where does the ferry to the island leave?", "the northern harbour"),
}
UNANSWERABLE = ["Which composer wrote the hymn of the moon landing?", "What is the boiling point of mercury?"]


def squad():
    articles = []
    for title, (context, question, answer) in TEXTS.items():
        qas = [{"id": title, "question": question, "is_impossible": False, "answers": [{"text": answer, "answer_start": context.index(answer)}]}]
        if title in ("Keys", "Garden"):
            qas.append({"id": title + "-none", "question": UNANSWERABLE[title == "Garden"], "is_impossible": True, "answers": []})
        articles.append({"title": title, "paragraphs": [{"context": context, "qas": qas}]})
    return {"version": "v2.0", "data": articles}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    need_models()
    return Stoa(tmp_path_factory.mktemp("eval"))


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    file = tmp_path_factory.mktemp("sets") / "small.json"
    file.write_text(json.dumps(squad()))
    return file


def is_whole_page(page):
    """One file: nothing is asked of anywhere, nothing is left of the template."""
    return page.startswith("<!doctype html>") and not re.search(r"https?://|<script|\bsrc=|@import|url\(|\{\{|\{%", page)


def test_retrieval_in_several_modes(home, questions, tmp_path):
    report, page = tmp_path / "report.json", tmp_path / "page.html"
    said = home.json("eval", "retrieval", str(questions), "--mode", "hybrid,text,vector", "-o", str(report), "--html", str(page))
    assert [run["name"] for run in said["runs"]] == ["hybrid", "text", "vector"]
    assert said["runs"][0]["metrics"]["recall@1"] == 1 and "outcomes" not in said["runs"][0]
    assert said["settings"]["embedding model"] == EMBED
    whole = json.loads(report.read_text())
    assert len(whole["runs"][0]["outcomes"]) == 4, "the answerable ones"
    first = whole["runs"][0]["outcomes"][0]["found"][0]
    assert first["grade"] == 1 and first["text_rank"] == 1 and first["vector_rank"] == 1 and first["sentence_cosine"] > 0.5
    assert is_whole_page(page.read_text()) and "Recall at k" in page.read_text()


def test_a_folder_of_beir(home, tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": title, "title": title, "text": text[0]}) + "\n" for title, text in TEXTS.items()))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "What may visitors do, and where do they sign?"}) + "\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tOffice\t2\nq1\tGarden\t1\n")
    run = home.json("eval", "retrieval", str(folder), "--mode", "text")["runs"][0]
    assert run["metrics"]["recall@5"] == 1 and 0.5 < run["metrics"]["map@10"] <= 1 and 0.7 < run["metrics"]["ndcg@10"] <= 1
    (folder / "qrels" / "test.tsv").write_text("q1\tOffice\tbest\nq1\tGarden\tworst\n")
    failed = home.cli("eval", "retrieval", str(folder), check=False)
    assert failed.returncode == 2 and "qrels:2: the grade 'worst'" in failed.stderr


def test_answers(home, questions, tmp_path):
    report, page = tmp_path / "quotes.json", tmp_path / "quotes.html"
    run = home.json("eval", "rag", str(questions), "--passages", "4", "-o", str(report), "--html", str(page))["runs"][0]
    metrics = run["metrics"]
    assert metrics["contains_answer"] == metrics["faithfulness"] == metrics["context_recall"] == metrics["citation_literal"] == 1
    assert metrics["context_precision"] == 1 and metrics["citation_correct"] > 0.5
    assert run["confusion"] == {"answerable_answered": 4, "answerable_refused": 0, "unanswerable_answered": 0, "unanswerable_refused": 2}
    assert metrics["balanced_accuracy"] == 1 and metrics["majority_baseline"] == pytest.approx(4 / 6)
    assert json.loads(report.read_text())["settings"]["judge of support"] == "evidence"
    assert is_whole_page(page.read_text()) and "Answered or refused" in page.read_text()


def test_answers_of_a_model_judged_by_a_model(home, questions):
    said = home.json("eval", "rag", str(questions), "--questions", "2", "--seed", "3", "--passages", "2", "--answerer", "generative", "--judge", "model")
    run = said["runs"][0]
    assert run["name"] == "generative" and run["questions"] == 2
    assert said["settings"]["generating model"] == CHAT and said["settings"]["its weights"].startswith("sha256:")


def test_nobody_is_shown_what_they_may_not_read(home, questions):
    run = home.json("eval", "access", str(questions), "--triples", "60", "--twins", "3")["runs"][0]
    assert run["metrics"]["leak_rate"] == run["metrics"]["leaked_passages"] == run["metrics"]["twin_differences"] == 0
    assert run["metrics"]["triples"] == 60 and run["metrics"]["searches"] == 180 and run["metrics"]["passages"] > 50


def test_two_reports(home, questions, tmp_path):
    modes, page = tmp_path / "modes.json", tmp_path / "difference.html"
    home.cli("eval", "retrieval", str(questions), "--mode", "text,vector", "-o", str(modes))
    compared = home.json("eval", "compare", str(modes), str(modes), "--run-a", "text", "--run-b", "vector", "--html", str(page))
    assert compared["questions"] == {"common": 4, "only_a": 0, "only_b": 0}
    assert {metric["name"] for metric in compared["metrics"]} >= {"recall@1", "mrr@10", "ndcg@10", "map@10"}
    assert is_whole_page(page.read_text())
    assert home.cli("eval", "compare", str(modes), str(modes), "--run-a", "none", check=False).returncode == 2
    assert home.cli("eval", "compare", str(questions), str(modes), check=False).returncode == 2
