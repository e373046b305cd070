"""How equal outputs are: what is identical, within tolerance, different, not re-run, or an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from passmuster.comparison import Outcome, Pair, Result, compare, flatten, read_metrics
from passmuster.config import Compare, Tolerance

Judge = Callable[..., Outcome]
METRICS = Tolerance(compare=Compare.METRICS, rtol=0.01, atol=0.001)
PREDICTIONS = Tolerance(compare=Compare.PREDICTIONS, id="id", atol=0.01)
ROWS = "id,p,word\na,0.10,x\nb,0.20,y\nc,0.30,z\n"


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def judged(old: str | None, new: str | None, tolerance: Tolerance, *, suffix: str = ".csv") -> Outcome:
        paths = {}
        for name, text in (("old", old), ("new", new)):
            if text is not None:
                paths[name] = tmp_path / f"{name}{suffix}"
                paths[name].write_text(text)
        expected = "md5:1"
        actual = None if new is None else "md5:1" if old == new else "md5:2"
        pair = Pair(path="out", expected=expected, actual=actual, old=paths.get("old"), new=paths.get("new"))
        return compare({"out": pair}, {"out": tolerance})[0]

    return judged


class TestHashes:
    @pytest.mark.parametrize(
        ("actual", "result"), [("md5:1", Result.IDENTICAL), ("md5:2", Result.DIFFERENT), (None, Result.NOT_RERUN)]
    )
    def test_decide_alone_where_no_class_is_declared(self, tmp_path: Path, actual: str, result: Result) -> None:
        pair = Pair(path="out", expected="md5:1", actual=actual, new=tmp_path if actual else None)

        assert compare({"out": pair}, {})[0].result == result

    def test_that_the_commit_lacks_are_an_error(self, tmp_path: Path) -> None:
        pair = Pair(path="out", expected=None, actual="md5:1", new=tmp_path)

        assert compare({"out": pair}, {})[0].result == Result.ERROR

    def test_of_the_committed_file_must_be_the_locks(self, tmp_path: Path) -> None:
        pair = Pair(path="out", expected="md5:1", actual="md5:1", committed="md5:9", new=tmp_path)

        assert compare({"out": pair}, {})[0].result == Result.DIFFERENT

    def test_that_differ_without_the_old_content_are_an_error_never_within_tolerance(self, judge: Judge) -> None:
        generous = Tolerance(compare=Compare.METRICS, rtol=1e9, atol=1e9)

        outcome = judge(None, '{"a": 1}', generous, suffix=".json")

        assert outcome.result == Result.ERROR
        assert "not in git, the cache or a remote" in outcome.reason


class TestAnOutputThatAnotherStandsFor:
    @pytest.mark.parametrize("actual", ["md5:1", "md5:2"])
    def test_takes_the_others_result(self, tmp_path: Path, actual: str) -> None:
        pairs = {
            "model": Pair(path="model", expected="md5:7", actual="md5:8", new=tmp_path),
            "other": Pair(path="other", expected="md5:1", actual=actual, new=tmp_path),
        }

        model, other = compare(pairs, {"model": Tolerance(compare=Compare.PREDICTIONS, by="other")})

        assert model.result == other.result

    @pytest.mark.parametrize("by", ["nothing", "model", "second"])
    def test_must_name_one_that_is_compared_itself(self, tmp_path: Path, by: str) -> None:
        same = {"expected": "md5:1", "actual": "md5:1", "new": tmp_path}
        pairs = {name: Pair(path=name, **same) for name in ("model", "second")}  # type: ignore[arg-type]
        tolerances = {
            "model": Tolerance(compare=Compare.BYTES, by=by),
            "second": Tolerance(compare=Compare.BYTES, by="model"),
        }

        assert compare(pairs, tolerances)[0].result == Result.ERROR

    def test_that_was_not_made_is_not_re_run_all_the_same(self, tmp_path: Path) -> None:
        pairs = {
            "model": Pair(path="model", expected="md5:1", actual=None),
            "other": Pair(path="other", expected="md5:1", actual="md5:1", new=tmp_path),
        }

        model, _ = compare(pairs, {"model": Tolerance(compare=Compare.BYTES, by="other")})

        assert model.result == Result.NOT_RERUN


class TestMetrics:
    @pytest.mark.parametrize(
        ("old", "new", "result"),
        [
            ('{"a": 1.0}', '{"a": 1.0}', Result.IDENTICAL),
            ('{"a": 1.0}', '{"a": 1.010}', Result.WITHIN_TOLERANCE),
            ('{"a": 1.0}', '{"a":   1.0}', Result.WITHIN_TOLERANCE),
            ('{"a": 1.0}', '{"a": 1.012}', Result.DIFFERENT),
            ('{"a": 0}', '{"a": 0.0009}', Result.WITHIN_TOLERANCE),
            ('{"a": 0}', '{"a": 0.0011}', Result.DIFFERENT),
            ('{"a": 1, "b": 2}', '{"a": 1}', Result.DIFFERENT),
            ('{"a": 1}', '{"a": 1, "b": 2}', Result.DIFFERENT),
            ('{"a": {"b": [1, 2]}}', '{"a": {"b": [1, 2.001]}}', Result.WITHIN_TOLERANCE),
            ('{"a": {"b": [1, 2]}}', '{"a": {"b": [1]}}', Result.DIFFERENT),
            ('{"a": "x"}', '{"a": "y"}', Result.DIFFERENT),
            ('{"a": 1}', '{"a": true}', Result.DIFFERENT),
            ('{"a": true}', '{"a": false}', Result.DIFFERENT),
            ('{"a": null}', '{"a": 0}', Result.DIFFERENT),
            ('{"a": NaN}', '{"a": NaN}', Result.ERROR),
            ('{"a": 1}', '{"a": NaN}', Result.ERROR),
            ('{"a": NaN}', '{"a": 1}', Result.ERROR),
            ('{"a": 1}', '{"a": Infinity}', Result.ERROR),
            ('{"a": 1}', '{"a": 1' + "0" * 400 + "}", Result.ERROR),
            ('{"a": 1}', "{}", Result.ERROR),
            ("{}", "{}", Result.ERROR),
            ("[1]", "[1]", Result.ERROR),
            ("1", "1", Result.ERROR),
            ('{"a": 1}', '{"a": ', Result.ERROR),
            ('{"a": 1}', "[" * 100_000, Result.ERROR),
            ('{"a": {"b": 1}, "a.b": 2}', '{"a": {"b": 1}, "a.b": 2}', Result.ERROR),
        ],
    )
    def test_in_json(self, judge: Judge, old: str, new: str, result: Result) -> None:
        assert judge(old, new, METRICS, suffix=".json").result == result

    def test_in_yaml(self, judge: Judge) -> None:
        assert judge("a: 1.0\n", "a: 1.005\n", METRICS, suffix=".yaml").result == Result.WITHIN_TOLERANCE
        assert judge("a: .nan\n", "a: .nan\n", METRICS, suffix=".yaml").result == Result.ERROR
        assert judge("a: 1e-5\n", "a: 1.001e-5\n", METRICS, suffix=".yaml").result == Result.WITHIN_TOLERANCE

    def test_that_say_nan_in_words_are_an_error(self, judge: Judge) -> None:
        """Equal words would else be equal metrics."""
        for text in ('{"a": "NaN"}', '{"a": "-inf"}', '{"a": "Infinity"}'):
            assert judge(text, text, METRICS).result == Result.ERROR

    def test_in_yaml_whose_aliases_stand_for_more_than_memory_holds_are_an_error(self, judge: Judge) -> None:
        lines = ["a0: &a0 [1, 2]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
        text = "\n".join(lines) + "\n"
        found = judge(text, text, METRICS, suffix=".yaml")

        assert found.result == Result.ERROR and "too large" in found.reason

    def test_that_differ_say_by_how_much_and_where(self, judge: Judge) -> None:
        details = judge('{"a": 1.0, "b": 2.0}', '{"a": 1.001, "b": 2.5}', METRICS, suffix=".json").details

        assert details["where"] == {"metric": "b", "expected": 2.0, "actual": 2.5}
        assert (details["beyond"], details["max_abs"], details["max_rel"]) == (1, 0.5, 0.25)

    @given(st.dictionaries(st.text("abc", min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
    def test_that_are_flat_keep_their_names(self, metrics: dict[str, float]) -> None:
        assert dict(flatten(metrics)) == metrics

    def test_file_that_is_missing_is_a_value_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="cannot be read"):
            read_metrics(tmp_path / "none.json")


class TestPredictions:
    @pytest.mark.parametrize(
        ("new", "result"),
        [
            (ROWS, Result.IDENTICAL),
            (ROWS.replace("0.20", "0.2000"), Result.WITHIN_TOLERANCE),
            (ROWS.replace("0.20", "0.209"), Result.WITHIN_TOLERANCE),
            (ROWS.replace("0.20", "0.211"), Result.DIFFERENT),
            (ROWS.replace("b,0.20,y\n", ""), Result.DIFFERENT),
            (ROWS + "d,0.4,w\n", Result.DIFFERENT),
            (ROWS.replace("b,", "B,"), Result.DIFFERENT),
            ("id,p,word\nb,0.20,y\na,0.10,x\nc,0.30,z\n", Result.DIFFERENT),
            (ROWS.replace(",y", ",Y"), Result.DIFFERENT),
            (ROWS.replace("0.20", ""), Result.ERROR),
            (ROWS.replace("word", "other"), Result.DIFFERENT),
            ("word,id,p\nx,a,0.10\ny,b,0.20\nz,c,0.30\n", Result.WITHIN_TOLERANCE),
            (ROWS + "a,0.10,x\n", Result.ERROR),
            (ROWS.replace("0.20", "nan"), Result.ERROR),
            (ROWS.replace("0.20", "inf"), Result.ERROR),
            (ROWS.replace("0.10", "").replace("0.20", "").replace("0.30", ""), Result.ERROR),
            (ROWS.replace("id,", "no,"), Result.ERROR),
            ("id,p,word\n", Result.ERROR),
            ("", Result.ERROR),
            ("id,p,p\na,1,1\n", Result.ERROR),
        ],
    )
    def test_in_csv(self, judge: Judge, new: str, result: Result) -> None:
        assert judge(ROWS, new, PREDICTIONS).result == result

    @pytest.mark.parametrize("text", [ROWS.replace("0.20", "nan"), ROWS + "a,0.10,x\n"])
    def test_that_are_no_answers_are_an_error_although_their_bytes_repeat(self, judge: Judge, text: str) -> None:
        assert judge(text, text, PREDICTIONS).result == Result.ERROR

    def test_without_an_id_are_an_error(self, judge: Judge) -> None:
        tolerance = Tolerance(compare=Compare.PREDICTIONS, atol=1.0)

        assert judge(ROWS, ROWS.replace("0.20", "0.21"), tolerance).result == Result.ERROR

    def test_that_differ_say_by_how_much_and_where(self, judge: Judge) -> None:
        outcome = judge(ROWS, ROWS.replace("0.20", "0.25").replace("0.30", "0.305"), PREDICTIONS)

        assert outcome.details["where"] == {"column": "p", "row": "b", "expected": 0.2, "actual": 0.25}
        assert outcome.details["beyond"] == 1
        assert outcome.details["max_abs"] == pytest.approx(0.05)
        assert "column p, row b" in outcome.reason

    def test_that_lack_rows_say_how_many(self, judge: Judge) -> None:
        outcome = judge(ROWS, ROWS.replace("b,0.20,y\n", "d,0.20,y\ne,0.20,y\n"), PREDICTIONS)

        assert (outcome.details["missing"], outcome.details["extra"]) == (1, 2)

    def test_whole_numbers_beyond_the_exact_floats_stay_apart(self, judge: Judge) -> None:
        exact = Tolerance(compare=Compare.PREDICTIONS, id="id")

        outcome = judge("id,n\na,9007199254740993\n", "id,n\na,9007199254740992\n", exact)

        assert outcome.result == Result.DIFFERENT

    def test_in_parquet_may_change_their_width_but_not_their_numbers(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
        parquet.write_table(pa.table({"id": [1, 2], "p": [0.5, 0.25]}), old)
        narrow = pa.table({"id": pa.array([1, 2], pa.int32()), "p": pa.array([0.5, 0.25], pa.float32())})
        parquet.write_table(narrow, new)
        pair = Pair(path="p", expected="md5:1", actual="md5:2", old=old, new=new)

        assert compare({"p": pair}, {"p": PREDICTIONS})[0].result == Result.WITHIN_TOLERANCE

    def test_in_columns_that_cannot_be_compared_are_no_crash(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
        parquet.write_table(pa.table({"id": [1], "p": [[0.5]]}), old)
        parquet.write_table(pa.table({"id": [1], "p": [[0.6]]}), new)
        pair = Pair(path="p", expected="md5:1", actual="md5:2", old=old, new=new)

        assert compare({"p": pair}, {"p": PREDICTIONS})[0].result in (Result.ERROR, Result.DIFFERENT)

    @given(
        st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
        st.floats(0, 0.1),
        st.floats(-1, 1),
    )
    def test_within_tolerance_means_every_number_within_it(self, tmp_path_factory, numbers, atol, shift) -> None:  # type: ignore[no-untyped-def]
        folder = tmp_path_factory.mktemp("pair")
        shifted = [number + shift for number in numbers]
        for name, values in (("old", numbers), ("new", shifted)):
            parquet.write_table(pa.table({"id": range(len(values)), "p": values}), folder / f"{name}.parquet")
        pair = Pair(path="p", expected="md5:1", actual="md5:2", old=folder / "old.parquet", new=folder / "new.parquet")

        outcome = compare({"p": pair}, {"p": Tolerance(compare=Compare.PREDICTIONS, id="id", atol=atol)})[0]

        within = all(abs(b - a) <= atol for a, b in zip(numbers, shifted, strict=True))
        assert (outcome.result == Result.WITHIN_TOLERANCE) == within
