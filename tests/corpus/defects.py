"""The planted defects: what is broken, how strongly, and which gate must refuse it.

`size` is the true effect in the unit of the measurement, in the population, not in the rows drawn: from a formula where
there is one, else from the same planting on 400,000 rows. The test holds the measured interval to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus import plants
from corpus.cases import Case
from corpus.plants import Plant, answered, column, everywhere_of, value, where
from corpus.shapes import NARROW, SHAPES, machines

ROWS, MANY = 2_000, 20_000

#: Of every planting, and of the clean case below it. Never chosen again.
SEED = 20_261_123


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One defect of the corpus."""

    name: str  #: unique; a sentence's worth of what is wrong
    shape: str
    gate: str  #: that must refuse it
    measurement: str  #: of that gate that must fail
    plant: Plant
    effect: str  #: how strong it is, in words
    size: float | None = None  #: the same as the measurement's own value, where that is an estimate
    rows: int = ROWS
    narrow: bool = False  #: `machines` with few columns

    def clean(self) -> Case:
        """Return the case before the planting."""
        if self.narrow:
            return machines(self.rows, SEED, sensors=4, kinds=NARROW)
        return SHAPES[self.shape](self.rows, SEED)

    def broken(self) -> Case:
        """Return the case with the defect in it."""
        return self.plant(self.clean(), np.random.default_rng([SEED, self.rows]))


def _profile(shape: str, part: str, name: str, plant: Plant, effect: str, *, rows: int = ROWS) -> Defect:
    return Defect(name=name, shape=shape, gate="profile", measurement=part, plant=plant, effect=effect, rows=rows)


def _leakage(shape: str, part: str, name: str, plant: Plant, effect: str, *, rows: int = ROWS) -> Defect:
    return Defect(name=name, shape=shape, gate="leakage", measurement=part, plant=plant, effect=effect, rows=rows)


def _drift(
    shape: str, measured: str, name: str, plant: Plant, effect: str, size: float | None, *, rows: int = ROWS
) -> Defect:
    return Defect(
        name=name, shape=shape, gate="drift", measurement=measured, plant=plant, effect=effect, size=size, rows=rows
    )


def _model(
    shape: str, gate: str, measured: str, name: str, plant: Plant, effect: str, size: float, *, rows: int = ROWS
) -> Defect:
    return Defect(
        name=name, shape=shape, gate=gate, measurement=measured, plant=plant, effect=effect, size=size, rows=rows
    )


def _bad(label: np.ndarray) -> np.ndarray:
    return label == "bad"


PROFILE = (
    _profile("credit", "nulls", "income missing in most rows", column("income", plants.missing(0.6)), "0.02 → 0.61"),
    _profile("credit", "nulls", "savings missing more often", column("savings", plants.missing(0.15)), "0.05 → 0.19"),
    _profile("sales", "nulls", "a thermometer that fails", column("degrees", plants.missing(0.15)), "0.03 → 0.18"),
    _profile("machines", "nulls", "a null rate from 0 to 60 %", column("s9", plants.missing(0.6)), "0 → 0.6"),
    _profile("credit", "empty", "income never filled in", column("income", plants.missing(1.0)), "all rows"),
    _profile(
        "machines", "empty", "a sensor cut off", column("s11", plants.missing(1.0)), "all rows of 1 of 60 columns"
    ),
    _profile("credit", "constants", "months all zero", column("months", plants.turned_into(0, 1.0)), "all rows"),
    _profile("machines", "constants", "a flag that is stuck", column("f1", plants.each(np.zeros_like)), "0.3 → 0"),
    _profile(
        "sales", "constants", "one store's export only", column("store", plants.turned_into("store 03", 1.0)), "all"
    ),
    _profile("credit", "types", "amounts as text", column("amount", plants.as_text), "all rows of test"),
    Defect(
        name="ages with fractions",
        shape="credit",
        gate="schema",
        measurement="types",
        plant=column("age", plants.each(lambda v: v + 0.5)),
        effect="whole → broken",
    ),
    _profile("machines", "types", "times as text", column("t0", plants.as_text), "all rows of test"),
    _profile("sales", "types", "a boolean as text", column("promoted", plants.as_text), "all rows of test"),
    _profile("sales", "numeric-text", "numbers kept as text", column("price", plants.as_text), "all rows of test"),
    _profile("credit", "infinities", "a division by zero", column("debt", plants.some_into(np.inf, 3)), "3 rows"),
    _profile("sales", "infinities", "a logarithm of zero", column("margin", plants.some_into(-np.inf, 1)), "1 row"),
    _profile(
        "credit",
        "sentinels",
        "300 values of −999",
        column("savings", plants.some_into(-999.0, 300)),
        "1.5 %",
        rows=MANY,
    ),
    _profile("credit", "sentinels", "ages of −999", column("age", plants.some_into(-999, 20)), "1 %"),
    _profile("sales", "sentinels", "stock of 9999", column("stock", plants.some_into(9999, 20)), "1 %"),
    _profile("machines", "sentinels", "a sensor that says −999", column("s3", plants.some_into(-999.0, 10)), "0.5 %"),
    _profile(
        "credit", "ranges", "some amounts in cents", column("amount", plants.some(0.05, lambda v: v * 1000)), "5 %"
    ),
    _profile("sales", "ranges", "refunds as prices", column("price", plants.some(0.04, np.negative)), "4 % negative"),
    _profile(
        "machines", "ranges", "a sensor in another unit", column("s20", plants.some(0.1, lambda v: 50 + v)), "10 %"
    ),
    _profile(
        "credit", "ranges", "some debts in per cent", column("debt", plants.some(0.002, lambda v: v * 100)), "0.2 %"
    ),
    _profile(
        "sales",
        "cardinality",
        "store names with a number of their own",
        column("store", plants.each(lambda v: np.char.add(v, np.char.mod(" #%d", np.arange(len(v)))))),
        "12 values → 2,000",
    ),
    _profile(
        "machines",
        "cardinality",
        "a category that became an id",
        column("k20", plants.each(lambda v: np.char.add("k", np.arange(len(v)).astype(str)))),
        "20 values → 2,000",
    ),
)

LEAKAGE = (
    _leakage("credit", "rows", "200 leaked rows", plants.leaked(200), "10 % of test"),
    _leakage("credit", "rows", "20 leaked rows", plants.leaked(20), "1 % of test"),
    _leakage("credit", "rows", "60 leaked rows of many", plants.leaked(60), "0.3 % of test", rows=MANY),
    _leakage("machines", "rows", "leaked rows of a wide table", plants.leaked(100), "5 % of test"),
    _leakage("credit", "features", "leaked under other labels", plants.leaked(150, relabelled=True), "7.5 % of test"),
    _leakage("credit", "ids", "ids of the training", plants.same_ids(5), "5 ids"),
    _leakage("machines", "ids", "one id of the training", plants.same_ids(1), "1 id"),
    _leakage("sales", "time", "a test before the training's end", plants.earlier("day", 300), "23 days overlap"),
    _leakage("credit", "duplicates", "test rows written twice", plants.repeated(0.1), "10 % of test"),
    _leakage(
        "credit",
        "predictors",
        "a number that knows the label",
        plants.told_by(
            "savings", lambda label, rng: np.round(2000 + 1000 * _bad(label) + 150 * rng.normal(size=len(label)))
        ),
        "ROC AUC 0.9999998",
    ),
    _leakage(
        "credit",
        "predictors",
        "a category that knows the label",
        plants.told_by("purpose", lambda label, rng: np.where(_bad(label), "collection", "car")),
        "ROC AUC 1",
    ),
    _leakage(
        "credit",
        "predictors",
        "a gap that knows the label",
        plants.told_by("savings", lambda label, rng: np.where(_bad(label), np.nan, rng.integers(0, 9999, len(label)))),
        "ROC AUC 1",
    ),
    _leakage(
        "credit",
        "predictors",
        "a middle that knows the label",
        plants.told_by(
            "debt",
            lambda label, rng: (
                0.5 + np.where(_bad(label), 0.1, rng.choice([-0.3, 0.3], len(label))) * rng.uniform(0.5, 1, len(label))
            ),
        ),
        "no order tells it, ranges do",
    ),
    _leakage(
        "sales",
        "predictors",
        "a number made from the target",
        plants.told_by("returned", lambda sold, rng: 1.1 * sold + 0.02 * rng.normal(size=len(sold))),
        "R² 0.99998",
    ),
    _leakage(
        "machines",
        "predictors",
        "a code that knows the state",
        plants.told_by("k20", lambda state, rng: np.char.add(state, rng.integers(0, 5, len(state)).astype(str))),
        "all classes",
    ),
    _leakage(
        "credit",
        "unavailable",
        "a feature of the future",
        plants.under(leakage={"unavailable": ["late"]}),
        "the model asks for it",
    ),
)

DRIFT = (
    _drift(
        "credit",
        "train-test::income::kolmogorov_smirnov",
        "other incomes",
        column("income", plants.each(lambda v: v * np.exp(0.45))),
        "0.9 of a standard deviation",
        0.346,
    ),
    _drift(
        "credit",
        "train-test::amount::kolmogorov_smirnov",
        "amounts spread wider",
        column("amount", plants.each(lambda v: np.exp(8.2 + 4 * (np.log(v) - 8.2)))),
        "the same mean, 4 times the spread",
        0.291,
    ),
    _drift(
        "credit",
        "train-test::age::kolmogorov_smirnov",
        "ages in two brackets",
        column("age", plants.drawn(lambda rng, n: rng.choice([29, 55], n))),
        "the same mean and spread",
        0.332,
    ),
    _drift(
        "credit",
        "train-test::late::kolmogorov_smirnov",
        "more late payments",
        column("late", plants.drawn(lambda rng, n: rng.poisson(1.3, n))),
        "mean 0.4 → 1.3",
        0.398,
    ),
    _drift(
        "credit",
        "train-test::savings::null_share",
        "savings not asked for",
        column("savings", plants.missing(0.35)),
        "0.05 → 0.38",
        0.3325,
    ),
    _drift(
        "credit",
        "train-test::home::total_variation",
        "more tenants",
        column("home", plants.turned_into("rent", 0.6)),
        "0.35 → 0.74",
        0.39,
    ),
    _drift(
        "credit",
        "train-test::phone::total_variation",
        "more telephones",
        column("phone", plants.drawn(lambda rng, n: rng.random(n) < 0.8)),
        "0.4 → 0.8",
        0.4,
    ),
    _drift(
        "credit",
        "train-test::purpose::share_ratio",
        "a rare category that grows fourfold",
        column(
            "purpose",
            plants.drawn(
                lambda rng, n: rng.choice(
                    ["car", "house", "phone", "school", "travel", "boat"], n, p=[0.27, 0.22, 0.16, 0.13, 0.1, 0.12]
                )
            ),
        ),
        "0.03 → 0.12",
        4.0,
        rows=40_000,
    ),
    _drift(
        "credit",
        "train-test::job::share_ratio",
        "a new category",
        column("job", plants.turned_into("gig", 0.08)),
        "0 → 0.08",
        None,
    ),
    _drift(
        "credit",
        "train-test::region::share_ratio",
        "a category that vanishes",
        column("region", plants.each(lambda v: np.where(v == "region 5", "region 1", v))),
        "0.17 → 0",
        None,
    ),
    _drift(
        "credit",
        "train-test::home::share_ratio",
        "spellings of one category",
        column("home", plants.some(0.1, np.char.upper)),
        "10 % in capitals",
        None,
    ),
    _drift(
        "credit",
        "train-test::status::total_variation",
        "more bad loans",
        column("status", plants.turned_into("bad", 0.6)),
        "0.35 → 0.74",
        0.39,
    ),
    _drift(
        "credit",
        "reference-test::(prediction)::kolmogorov_smirnov",
        "answers that moved",
        answered(everywhere_of(plants.logit(shift=1.5)), splits=plants.ONLY_TEST),
        "1.5 logits",
        0.447,
    ),
    _drift(
        "sales",
        "reference-test::(prediction)::kolmogorov_smirnov",
        "answers that doubled",
        answered(everywhere_of(lambda a: 2 * a), splits=plants.ONLY_TEST),
        "times 2",
        0.429,
    ),
    _drift(
        "machines",
        "reference-test::(prediction)::total_variation",
        "answers that lean to one state",
        answered(everywhere_of(plants.leaning((1, 6, 1, 1))), splits=plants.ONLY_TEST),
        "the odds of one state times 6",
        0.474,
    ),
    _drift(
        "credit",
        "train-test::(all columns)::domain_auc",
        "two columns that became one",
        plants.ranked_alike("debt", "income", 0.98),
        "correlation 0 → 0.98, each alone as before",
        None,
    ),
    _drift(
        "credit",
        "reference-test::amount::kolmogorov_smirnov",
        "production had other amounts",
        column("amount", plants.each(lambda v: v * 2.5), splits=plants.ONLY_REFERENCE),
        "1.15 standard deviations",
        0.433,
    ),
    _drift(
        "credit",
        "train-test::amount::kolmogorov_smirnov",
        "slightly other amounts in many rows",
        column("amount", plants.each(lambda v: v * np.exp(0.8 * 0.6))),
        "0.6 of a standard deviation",
        0.236,
        rows=MANY,
    ),
    _drift(
        "credit",
        "train-test::savings::null_share",
        "savings missing in some of many rows",
        column("savings", plants.missing(0.16)),
        "0.05 → 0.20",
        0.152,
        rows=MANY,
    ),
    _drift(
        "sales",
        "train-test::visits::kolmogorov_smirnov",
        "more days without visits",
        column("visits", plants.turned_into(0, 0.7)),
        "zeros 0.45 → 0.84",
        0.385,
    ),
    _drift(
        "sales",
        "train-test::margin::kolmogorov_smirnov",
        "heavier tails",
        column("margin", plants.each(lambda v: v * 6)),
        "6 times the spread",
        0.305,
    ),
    _drift(
        "sales",
        "train-test::price::kolmogorov_smirnov",
        "another currency",
        column("price", plants.each(lambda v: v * 2)),
        "twice the price",
        0.407,
    ),
    _drift(
        "sales",
        "train-test::degrees::kolmogorov_smirnov",
        "another season",
        column("degrees", plants.each(lambda v: v + 12)),
        "1.5 standard deviations",
        0.549,
    ),
    _drift(
        "sales",
        "train-test::store::total_variation",
        "one store that takes over",
        column("store", plants.turned_into("store 01", 0.5)),
        "0.08 → 0.54",
        0.458,
    ),
    _drift(
        "sales",
        "train-test::returned::kolmogorov_smirnov",
        "more returns",
        column("returned", plants.some(0.5, lambda v: np.maximum(v, 12.5))),
        "zeros 0.85 → 0.43",
        0.46,
    ),
    _drift(
        "sales",
        "train-test::distance::null_share",
        "distances not measured",
        column("distance", plants.missing(0.4)),
        "0.06 → 0.44",
        0.376,
    ),
    _drift(
        "sales",
        "train-test::sold::kolmogorov_smirnov",
        "twice as much is sold",
        column("sold", plants.each(lambda v: 2.5 * v)),
        "2.5 times",
        0.46,
    ),
    _drift(
        "machines",
        "train-test::s17::kolmogorov_smirnov",
        "one of sixty columns that drifts",
        column("s17", plants.each(lambda v: v + 1)),
        "1 standard deviation",
        0.384,
    ),
    _drift(
        "machines",
        "train-test::k500::share_ratio",
        "one code of 500 in four rows of ten",
        column("k500", plants.turned_into("k500-007", 0.4)),
        "0.002 → 0.4",
        None,
    ),
    _drift(
        "machines",
        "train-test::k500::total_variation",
        "half of 500 codes gone",
        column("k500", plants.drawn(lambda rng, n: np.char.mod("k500-%03d", rng.integers(0, 250, n)))),
        "250 of 500 codes",
        0.5,
        rows=MANY,
    ),
    _drift(
        "machines",
        "train-test::f2::total_variation",
        "a flag raised more often",
        column("f2", plants.drawn(lambda rng, n: rng.random(n) < 0.75)),
        "0.3 → 0.75",
        0.45,
    ),
    _drift(
        "machines",
        "train-test::c3::kolmogorov_smirnov",
        "a counter that counts more",
        column("c3", plants.drawn(lambda rng, n: rng.poisson(9, n))),
        "mean 6 → 9",
        0.42,
    ),
    _drift(
        "machines",
        "train-test::(all columns)::domain_auc",
        "sensors that no longer move together",
        plants.apart([f"s{k}" for k in range(10, 40)]),
        "30 columns, correlation 0.36 → 0, each alone as before",
        None,
    ),
)


def _slice(shape: str, measured: str, name: str, plant: Plant, effect: str, size: float, *, rows: int = ROWS) -> Defect:
    return _model(shape, "slices", measured, name, plant, effect, size, rows=rows)


SLICES = (
    _slice(
        "credit",
        "job=freelance",
        "one of five categories inverted",
        answered(where(value("job", "freelance"), plants.inverted)),
        "15 % of the rows",
        -0.55,
    ),
    _slice(
        "credit",
        "region=region 3",
        "a region inverted",
        answered(where(value("region", "region 3"), plants.inverted)),
        "17 % of the rows",
        -0.556,
    ),
    _slice(
        "credit",
        "region=region 017",
        "inverted in 4 of 500 categories",
        plants.then(
            plants.of_many("region", 500),
            answered(where(value("region", "region 017", "region 133", "region 208", "region 401"), plants.inverted)),
        ),
        "0.8 % of the rows",
        -0.55,
        rows=100_000,
    ),
    _slice(
        "credit",
        "age",
        "a range of ages answered at random",
        answered(where(plants.within("age", 30, 36), plants.shuffled)),
        "14 % of the rows",
        -0.27,
        rows=MANY,
    ),
    _slice(
        "credit",
        "home=parents & job=partime",
        "two columns together",
        answered(where(plants.both(value("home", "parents"), value("job", "partime")), plants.inverted)),
        "3 % of the rows",
        -0.534,
        rows=MANY,
    ),
    _slice(
        "credit",
        "job=(missing)",
        "rows without a job answered at random",
        answered(where(plants.without("job"), plants.shuffled)),
        "3 % of the rows",
        -0.28,
        rows=MANY,
    ),
    _slice(
        "credit",
        "gender=f",
        "women ranked a little worse",
        answered(
            where(value("gender", "f"), lambda a, rng: plants.logit()(a) ** np.exp(0.9 * rng.normal(size=len(a))))
        ),
        "45 % of the rows",
        -0.1,
        rows=MANY,
    ),
    _slice(
        "credit",
        "reference::region=region 2",
        "a region where the world changed",
        plants.both_models(value("region", "region 2"), plants.inverted),
        "17 % of the rows, for both models",
        -0.558,
    ),
    _slice(
        "sales",
        "store=store 07",
        "a store answered too high",
        answered(where(value("store", "store 07"), plants.off_by(6.0))),
        "8 % of the rows",
        -4.58,
    ),
    _slice(
        "sales",
        "promoted=True",
        "promotions forgotten",
        answered(where(value("promoted", True), plants.off_by(-3.0))),
        "25 % of the rows",
        -1.76,
    ),
    _slice(
        "sales",
        "price",
        "dear things answered at random",
        answered(where(plants.within("price", 12.6, np.inf), plants.shuffled)),
        "10 % of the rows",
        -3.66,
        rows=MANY,
    ),
    _slice(
        "sales",
        "weekday=sun",
        "Sundays one too many",
        answered(where(value("weekday", "sun"), plants.off_by(1.5))),
        "14 % of the rows",
        -0.523,
        rows=MANY,
    ),
    _slice(
        "sales",
        "reference::store=store 03",
        "a store where the world changed",
        plants.both_models(value("store", "store 03"), plants.off_by(8.0)),
        "8 % of the rows, for both models",
        -6.72,
    ),
    _slice(
        "machines",
        "k5=k5-002",
        "a kind of machine answered in reverse",
        answered(where(value("k5", "k5-002"), plants.inverted)),
        "20 % of the rows",
        -0.49,
    ),
    Defect(
        name="a flag that muddles",
        shape="machines",
        gate="slices",
        measurement="f0=True",
        plant=answered(where(value("f0", True), plants.shuffled)),
        effect="30 % of the rows",
        size=-0.148,
        rows=MANY,
        narrow=True,
    ),
)

CALIBRATION = (
    _model(
        "credit",
        "calibration",
        "expected_calibration_error",
        "too sure of itself",
        answered(everywhere_of(plants.logit(scale=4))),
        "log odds times 4",
        0.171,
    ),
    _model(
        "credit",
        "calibration",
        "expected_calibration_error",
        "too high throughout",
        answered(everywhere_of(plants.logit(shift=1.5))),
        "1.5 logits",
        0.279,
    ),
    _model(
        "credit",
        "calibration",
        "expected_calibration_error",
        "never sure",
        answered(everywhere_of(plants.logit(scale=0.05))),
        "log odds times 0.05",
        0.223,
    ),
    _model(
        "credit",
        "calibration",
        "champion::expected_calibration_error",
        "less calibrated than the champion",
        answered(everywhere_of(plants.logit(scale=1.7))),
        "log odds times 1.7",
        -0.077,
        rows=MANY,
    ),
    _model(
        "machines",
        "calibration",
        "expected_calibration_error",
        "too sure of every state",
        answered(everywhere_of(plants.sharper(4))),
        "to the power 4",
        0.292,
    ),
    _model(
        "machines",
        "calibration",
        "champion::expected_calibration_error",
        "less calibrated than the champion, of four states",
        answered(everywhere_of(plants.sharper(1.5))),
        "to the power 1.5",
        -0.107,
        rows=MANY,
    ),
)

FAIRNESS = (
    _model(
        "credit",
        "fairness",
        "gender::demographic_parity_ratio",
        "women taken for bad more often",
        answered(where(value("gender", "f"), lambda a, _: plants.logit(shift=1.5)(a))),
        "1.5 logits",
        0.362,
    ),
    _model(
        "credit",
        "fairness",
        "gender::equalized_odds_difference",
        "women judged by inverted answers",
        answered(where(value("gender", "f"), plants.inverted)),
        "rates swapped",
        0.747,
    ),
    _model(
        "credit",
        "fairness",
        "gender::demographic_parity_difference",
        "men taken for bad more often",
        plants.then(
            plants.under(fairness={"limits": {"demographic_parity_difference": {"max": 0.1}}}),
            answered(where(value("gender", "m"), lambda a, _: plants.logit(shift=1.2)(a))),
        ),
        "1.2 logits",
        0.352,
    ),
    _model(
        "credit",
        "fairness",
        "gender::equalized_odds_ratio",
        "women found less often",
        plants.then(
            plants.under(fairness={"limits": {"equalized_odds_ratio": {"min": 0.8}}}),
            answered(where(value("gender", "f"), lambda a, _: plants.logit(shift=-1.5)(a))),
        ),
        "−1.5 logits",
        0.057,
    ),
    _model(
        "credit",
        "fairness",
        "region::demographic_parity_ratio",
        "a region never selected",
        plants.then(
            plants.under(fairness={"columns": ["region"]}),
            answered(where(value("region", "region 4"), lambda a, _: plants.logit(shift=-6)(a))),
        ),
        "0.29 → 0",
        0.0,
    ),
    _model(
        "credit",
        "fairness",
        "age::equalized_odds_difference",
        "the old taken for bad",
        plants.then(
            plants.under(fairness={"columns": ["age"]}),
            answered(where(plants.within("age", 52, 100), lambda a, _: plants.logit(shift=2.5)(a))),
        ),
        "2.5 logits from 52 years on",
        0.63,
    ),
)


def _decided(measured: str, name: str, plant: Plant, effect: str, size: float, **section: object) -> Defect:
    wanted = plants.under(decision=section)
    return _model("credit", "decision", measured, name, plants.then(wanted, plant), effect, size, rows=MANY)


DECISION = (
    _decided(
        "recall_score",
        "bad loans let through",
        answered(everywhere_of(plants.logit(shift=-1.5))),
        "−1.5 logits",
        0.096,
        limits={"recall_score": {"min": 0.4}},
    ),
    _decided(
        "false_positive_rate",
        "good loans refused",
        answered(everywhere_of(plants.logit(shift=1.5))),
        "1.5 logits",
        0.583,
        limits={"false_positive_rate": {"max": 0.3}},
    ),
    _decided(
        "selection_rate",
        "more refused than can be asked again",
        answered(everywhere_of(plants.logit(shift=1.5))),
        "1.5 logits",
        0.691,
        limits={"selection_rate": {"max": 0.4}},
    ),
    _decided(
        "precision_score",
        "refused at random",
        answered(lambda a, _, rng: rng.permutation(a)),
        "answers shuffled",
        0.341,
        limits={"precision_score": {"min": 0.5}},
    ),
    _decided(
        "cost",
        "dear decisions",
        answered(everywhere_of(plants.logit(shift=-1.5))),
        "−1.5 logits",
        1.55,
        limits={"cost": {"max": 1.1}},
        costs={"false-positive": 1.0, "false-negative": 5.0},
    ),
    _decided(
        "champion::recall_score",
        "finds fewer than the champion",
        answered(everywhere_of(plants.logit(shift=-0.7))),
        "−0.7 logits",
        -0.224,
        rules={"recall_score": {"margin": 0.05}},
    ),
    _decided(
        "recall_score",
        "a threshold that was moved",
        lambda case, _: case,
        "0.5 → 0.9",
        0.031,
        limits={"recall_score": {"min": 0.4}},
        threshold=0.9,
    ),
)

WHOLE = (
    _model(
        "credit",
        "performance",
        "roc_auc_score",
        "answers without content",
        answered(lambda a, _, __: np.full_like(a, 0.35)),
        "one answer for all",
        0.5,
    ),
    _model(
        "credit",
        "champion",
        "roc_auc_score",
        "answers of other rows",
        answered(lambda a, _, rng: rng.permutation(a)),
        "answers shuffled",
        -0.28,
    ),
    _model(
        "machines",
        "champion",
        "f1_score_macro",
        "a state that is never answered",
        plants.then(
            plants.under(champion={"rules": {"f1_score_macro": {"margin": 0.03}}}),
            answered(everywhere_of(plants.leaning((1, 1, 1, 1e-9)))),
        ),
        "one of four states",
        -0.074,
    ),
    _model(
        "sales",
        "champion",
        "mean_absolute_error",
        "twice the answer",
        answered(everywhere_of(lambda a: 2 * a)),
        "times 2",
        -4.53,
    ),
)

DEFECTS = (*PROFILE, *LEAKAGE, *DRIFT, *SLICES, *CALIBRATION, *FAIRNESS, *DECISION, *WHOLE)
