"""Write docs/*.schema.json from the models of lists and records. `--check` only compares."""

from __future__ import annotations

import json
import sys

from generated import ROOT, write_or_check

from rag_rec import RecommendationList
from rag_rec.batch import BatchRecord, FailureRecord

PUBLISHED = {
    "recommendation-list": RecommendationList,
    "batch-record": BatchRecord,
    "batch-failure": FailureRecord,
}


def main() -> int:
    """Write or check every schema; return the exit status."""
    status = 0
    for name, model in PUBLISHED.items():
        schema = model.model_json_schema(mode="serialization")
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        page = ROOT / "docs" / f"{name}.schema.json"
        status |= write_or_check(page, text, script="scripts/write_schemas.py")
    return status


if __name__ == "__main__":
    sys.exit(main())
