"""Prompt variants: one TOML file each, checked when it is loaded.

Templates have no logic. Values are inserted as they are, never read as templates again.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection
from pathlib import Path
from string import Template
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from rag_rec.core import MissingVariable, Model, PromptError, first_problem

_ITEM = ("title", "description", "brand", "price", "categories", "released")
_HISTORY = (*_ITEM, "n", "rating", "date", "ref")
_USER = ("history", "candidates", "profile", "k", "task")
_CANDIDATE = (*_ITEM, "label", "hint", "ref")
_QUERY = ("history", "profile", "task")
MAX_SCORED = 26
"""Candidates that one prompt can have scored: one letter each, for a letter is one token."""


class PromptSettings(Model):
    """Limits and options of a variant.

    Attributes:
        max_history: Latest events shown at most.
        history_order: ``oldest_first`` or ``newest_first``.
        max_candidates: Candidates shown at most (never fewer than k).
        evidence: Reviews quoted a candidate at most.
        evidence_chars: A longer review is cut at a word end.
        description_chars: Likewise for descriptions.
        reason_chars: Length of a reason; 0 asks for labels only.
        citations: Ask each reason for the numbers (``$ref``) of the evidence it rests on, and hold
            it against them; reviews are then quoted by the sentence.
        taste: Show the user's taste profile as what they say, unless they say something.
        answer: ``list`` asks for a list in words. ``scores`` labels the candidates A, B, C, ...
            and reads the probability of each label as the first token of the answer (LlamaRec,
            arXiv 2311.02089; FIRST, arXiv 2406.15657); the variant then asks for no reasons.
        permutations: Prompts a user whose scores are averaged, each with the candidates in
            another order, against the bias of position (arXiv 2310.07712). With 1 they stand in
            retrieval's order.
        budget_tokens: Prompt tokens at most; 0 for what the model's context allows.
    """

    max_history: int = Field(20, ge=0)
    history_order: Literal["oldest_first", "newest_first"] = "oldest_first"
    max_candidates: int = Field(20, ge=1)
    evidence: int = Field(0, ge=0)
    evidence_chars: int = Field(200, ge=20)
    description_chars: int = Field(160, ge=20)
    reason_chars: int = Field(160, ge=0)
    citations: bool = False
    taste: bool = False
    answer: Literal["list", "scores"] = "list"
    permutations: int = Field(1, ge=1, le=MAX_SCORED)
    budget_tokens: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fits_its_answer(self) -> PromptSettings:
        if self.answer == "list":
            if self.permutations > 1:
                raise ValueError('permutations average scores: they need answer = "scores"')
            return self
        if self.reason_chars or self.citations:
            raise ValueError("scores come without reasons: set reason_chars = 0, no citations")
        if self.max_candidates > MAX_SCORED:
            raise ValueError(f"at most {MAX_SCORED} candidates can be scored: lower max_candidates")
        return self

    def label_text(self, label: int) -> str:
        """Return a label as it stands in the prompt: its number, or a letter to be scored."""
        return str(label) if self.answer == "list" else chr(ord("A") + label - 1)

    def n_shown(self, k: int) -> int:
        """Return the number of candidates shown at most, for a list of ``k``."""
        return max(k, self.max_candidates) if self.answer == "list" else self.max_candidates

    def candidate_number(self, label: int, piece: int = 0) -> int:
        """Return the evidence number of a candidate: its own line is piece 0, reviews 1, 2, ...

        Events have the numbers before them: 1 is the latest.
        """
        return self.max_history + (label - 1) * (1 + self.evidence) + 1 + piece


class Example(Model):
    """A worked example, shown as a turn of the chat before the user's own."""

    user: str
    assistant: str


class _VariantFile(Model):
    description: str
    settings: PromptSettings = PromptSettings()  # pyright: ignore[reportCallIssue]
    system: str
    user: str
    history_line: str
    candidate_line: str
    evidence_line: str = '   - "$text"'
    query: str = "$history\n$profile"
    document_line: str = "$title"
    examples: tuple[Example, ...] = ()


class Variant:
    """A loaded prompt variant.

    Attributes:
        name: The file's name without ``.toml``.
        description: One line for people.
        settings: What it shows and asks for.
        digest: SHA-256 of the file; part of the run's identity.
        system: Template with ``$k``.
        user: Template with ``$history``, ``$candidates``, ``$profile``, ``$k``,
            ``$task`` (what a bundle, a sequence or a page is to be).
        history_line: Template with the item's fields, ``$n``, ``$rating``, ``$date``, ``$ref``.
        candidate_line: Template with the item's fields, ``$label``, ``$hint``, ``$ref``.
        evidence_line: Template with ``$text``, ``$ref``; such lines follow the candidate's own.
        query: Template with ``$history``, ``$profile``, ``$task``: what rerankers, which read no
            chat, are asked.
        document_line: Template with the item's fields: a candidate as rerankers read it, followed
            by its evidence.
        examples: Worked examples.
    """

    def __init__(self, name: str, text: str) -> None:
        """Read a variant from its TOML text; most callers use `load_variant`."""
        try:
            file = _VariantFile.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise PromptError(f"{name}.toml is not TOML: {error}") from error
        except ValidationError as error:
            raise PromptError(first_problem(error, f"{name}.toml")) from error
        self.name = name
        self.description = file.description
        self.settings = file.settings
        self.examples = file.examples
        self.digest = hashlib.sha256(text.encode()).hexdigest()

        def template(
            field: str, allowed: tuple[str, ...], required: tuple[str, ...] = ()
        ) -> Template:
            text, where = getattr(file, field), f"{name}.toml: {field}"
            return read_template(text, allowed=allowed, required=required, where=where)

        self.system = template("system", ("k",))
        self.user = template("user", _USER, ("candidates",))
        cited = ("ref",) if file.settings.citations else ()
        self.history_line = template("history_line", _HISTORY, cited)
        self.candidate_line = template("candidate_line", _CANDIDATE, ("label", *cited))
        self.evidence_line = template("evidence_line", ("text", "ref"), ("text", *cited))
        self.query = template("query", _QUERY, ("history",))
        self.document_line = template("document_line", _ITEM)


def prompt_folder() -> Path:
    """Return the folder of the shipped variants: in the package, or in the checkout."""
    installed = Path(__file__).parent.parent / "prompts"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "prompts"


def variant_names() -> list[str]:
    """Return the names of the shipped variants."""
    return sorted(path.stem for path in prompt_folder().glob("*.toml"))


def load_variant(name: str | Path) -> Variant:
    """Load a shipped variant by name, or any file by a path that ends in ``.toml``.

    Raises:
        PromptError: If there is no such variant or it is not well formed.
    """
    path = Path(name) if str(name).endswith(".toml") else prompt_folder() / f"{name}.toml"
    try:
        return Variant(path.stem, path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PromptError(
            f"no prompt variant '{name}'; there are {', '.join(variant_names())}, "
            "or give a .toml file"
        ) from error
    except UnicodeDecodeError as error:
        raise PromptError(f"{path} is not UTF-8 text") from error


def read_template(
    text: str, *, allowed: Collection[str], required: Collection[str] = (), where: str = "template"
) -> Template:
    """Return a text with ``$name`` or ``${name}`` variables; ``$$`` is a dollar sign.

    Args:
        text: The template.
        allowed: Variables it may name.
        required: Variables it must name.
        where: Its name in errors, such as ``plain.toml: candidate_line``.

    Raises:
        MissingVariable: On an unknown or missing variable, or a stray ``$``.

    >>> read_template("$label. $title", allowed=("label", "title")).substitute(label=1, title="Tea")
    '1. Tea'
    """
    template = Template(text)
    if not template.is_valid():
        raise MissingVariable(f"{where}: a '$' that names no variable; write $$ for a dollar")
    names = set(template.get_identifiers())
    if unknown := names.difference(allowed):
        known = ", ".join(f"${name}" for name in sorted(allowed))
        raise MissingVariable(f"{where}: unknown variable ${min(unknown)}; there are {known}")
    if missing := set(required) - names:
        raise MissingVariable(f"{where}: must contain ${min(missing)}")
    return template
