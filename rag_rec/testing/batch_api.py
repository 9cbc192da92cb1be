"""`BatchApiServer`: a loopback server that speaks the hosted Batch API: files and batches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from rag_rec.testing.server import ChatServer, Json, Response, answer_first_labels


class BatchApiServer(ChatServer):
    """Takes request files, answers them when it is told to, and gives the answers back.

    Args:
        answer: From a request's body to its response; a status other than 200 is an error line.

    Attributes:
        files: Content of files by id.
        batches: Batches by id, as the API shows them.
    """

    def __init__(self, answer: Callable[[Json], Response] = answer_first_labels) -> None:
        super().__init__(answer)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Json] = {}

    def finish(self, *, leave_out: int = 0, status: str = "completed") -> None:
        """Answer every batch that is under way, but for its last ``leave_out`` requests."""
        for batch in self.batches.values():
            if batch["status"] != "in_progress":
                continue
            lines = [json.loads(x) for x in self.files[batch["input_file_id"]].splitlines()]
            good, bad = [], []
            for line in lines[: len(lines) - leave_out]:
                answer = self._answer(line["body"])
                response = {"status_code": answer.status, "body": json.loads(answer.body)}
                done = {"id": "r", "custom_id": line["custom_id"], "response": response}
                (good if answer.status == 200 else bad).append({**done, "error": None})
            counts = {"total": len(lines), "completed": len(good), "failed": len(bad)}
            batch |= {"status": status, "request_counts": counts}
            for name, part in (("output_file_id", good), ("error_file_id", bad)):
                if part:
                    batch[name] = self._store("\n".join(map(json.dumps, part)).encode() + b"\n")

    def _store_file(self, body: bytes) -> Json:
        file_id = self._store(_file_part(body))
        return {
            "id": file_id, "object": "file", "bytes": len(self.files[file_id]), "created_at": 0,
            "filename": "requests.jsonl", "purpose": "batch", "status": "processed",
        }  # fmt: skip

    def _store(self, content: bytes) -> str:
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = content
        return file_id

    def _begin(self, body: bytes) -> Json:
        asked = json.loads(body)
        n = len(self.files[asked["input_file_id"]].splitlines())
        batch: Json = {
            "id": f"batch-{len(self.batches)}", "object": "batch", "created_at": 0,
            "status": "in_progress", "output_file_id": None, "error_file_id": None,
            "request_counts": {"total": n, "completed": 0, "failed": 0}, **asked,
        }  # fmt: skip
        self.batches[batch["id"]] = batch
        return batch

    def _respond(self, line: str, body: bytes) -> Response:
        method, path, _ = line.split(" ", 2)
        path = path.split("?")[0].removeprefix("/v1")
        if found := re.fullmatch(r"/files/([^/]+)/content", path):
            content = self.files.get(found[1])
            return Response(status=404) if content is None else Response(content)
        if found := re.fullmatch(r"/batches/([^/]+)", path):
            batch = self.batches.get(found[1])
            return Response(status=404) if batch is None else _json(batch)
        match method, path:
            case "POST", "/files":
                return _json(self._store_file(body))
            case "POST", "/batches":
                return _json(self._begin(body))
            case "GET", "/batches":
                page = {"object": "list", "data": [*self.batches.values()], "has_more": False}
                return _json(page)
            case _:
                return super()._respond(line, body)


def _json(value: Json) -> Response:
    return Response(json.dumps(value).encode())


def _file_part(body: bytes) -> bytes:
    """Return the content of the part named ``file`` of a multipart body."""
    boundary = body.split(b"\r\n", 1)[0]
    for part in body.split(boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return content.removesuffix(b"\r\n")
    raise ValueError("no part named 'file'")
