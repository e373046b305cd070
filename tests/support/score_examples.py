"""Score many models in one process, by the program that scores them one by one; the imports cost more than the work.

    python tests/support/score_examples.py requests.json

The file holds a list of requests as `passmuster_serving/score.py` takes them. It prints the answers, as a list.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "serving" / "passmuster_serving"))

import score  # the program

with contextlib.redirect_stdout(sys.stderr):
    answers = []
    for number, request in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        one = Path(sys.argv[1]).with_suffix(f".{number}.json")
        one.write_text(json.dumps(request))
        try:
            answers.append(score.run(score.Request.read(one)))
        except score.Refusal as refusal:
            answers.append({"ok": False, "refused": refusal.code, "message": str(refusal)})
print(json.dumps(answers))
