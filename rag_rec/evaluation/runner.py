"""A run, from an experiment to a report: ask every variant, then let the scorer look."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from rag_rec.core import MODE, ConfigError
from rag_rec.data import Dataset
from rag_rec.evaluation.experiments.answers import Answers, Gathered
from rag_rec.evaluation.experiments.engine import Engine, OnProgress, answer_file
from rag_rec.evaluation.experiments.experiment import Experiment
from rag_rec.evaluation.experiments.spending import BudgetSpent
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.measuring.measure import measure_study
from rag_rec.evaluation.report import write_reports
from rag_rec.evaluation.report_model import Report
from rag_rec.index import Embedder, OnStep
from rag_rec.llm import ChatModel


def run(
    experiment: Experiment | str | Path,
    out: str | Path,
    *,
    dataset: Dataset | None = None,
    models: Mapping[str, ChatModel] | None = None,
    embedder: Embedder | None = None,
    ask: bool = True,
    people: bool = True,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Ask every variant for the same users, score them, and write the reports.

    Run into the same folder again, it asks only for what is missing.

    Args:
        experiment: What is compared, or the TOML file that says so.
        out: Folder of the index, the answers and the reports.
        dataset: The data, instead of what the experiment names.
        models: Open models by spec, instead of opening them.
        embedder: Makes the vectors; the default one if None.
        ask: False to report on the answers that are there.
        people: Whether the page has a browser over users, their histories and prompts.
        on_step: Told of the index's progress.
        on_progress: Told of the answers'.

    Returns:
        The report, as in ``report.json``.

    Raises:
        ConfigError, DataError: One line that says what to do.
    """
    beside = None if isinstance(experiment, Experiment) else Path(experiment)
    chosen = experiment if isinstance(experiment, Experiment) else Experiment.load(experiment)
    out = Path(out)
    with _alone(out) if ask else nullcontext():
        study = Study.open(
            chosen, out, beside=beside, dataset=dataset, embedder=embedder, on_step=on_step
        )
        with closing(study):
            notes = ask_all(study, models, on_progress) if ask else []
            report, details = measure_study(study, gather(study), notes)
        write_reports(report, details, out, people=people)
    return report


@contextmanager
def _alone(out: Path) -> Generator[None]:
    """Hold a run's folder; two runs at a time would pay twice and mix their lines."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0, mode=MODE):
            yield
    except Timeout as error:
        raise ConfigError(
            f"another run is writing to {out}; wait for it, or give another --out"
        ) from error


def ask_all(
    study: Study, models: Mapping[str, ChatModel] | None, on_progress: OnProgress | None
) -> list[str]:
    """Have every variant answer in every condition; return what a reader must know of it.

    Only tasks go in: the engine is made without the scorers.
    """
    engine = Engine(study.experiment, study.index, study.retrievers, study.out, models=models)
    with closing(engine):
        try:
            engine.answer_all(study.plan(), on_progress)
        except BudgetSpent as spent:
            return [f"stopped asking: {spent}"]
    return []


def gather(study: Study) -> Gathered:
    """Return all answers on disk, by condition, variant and user.

    Raises:
        ConfigError, DataError: If answers were made under other settings or for other histories.
    """
    found: dict[str, dict[str, Answers]] = {}
    for condition, variants in study.plan():
        files = {
            variant.name: answer_file(study.experiment, variant, condition, study.index, study.out)
            for variant in variants
        }
        found[condition.name] = {name: file.read(condition.tasks) for name, file in files.items()}
    return found
