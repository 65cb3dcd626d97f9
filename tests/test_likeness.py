"""Act-alikes: planted look-alikes are found, chance is called chance, and a giveaway is no feature."""

import json

import numpy as np
import pytest

from retag.likeness import features, load

activity, model, quality = load("activity"), load("model"), load("quality")
sparse = pytest.importorskip("scipy.sparse")

VISITORS, FEATURES = 4000, 120


def crowd(seed=1, alike=400):
    """Counts of a crowd in which the first `alike` visitors share a taste for the last ten features."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(5, FEATURES + 5)
    counts = rng.poisson(popularity * rng.gamma(1, 2, (VISITORS, 1)) * 3)
    counts[:alike, -10:] += rng.poisson(0.4, (alike, 10))
    return sparse.csr_matrix(counts.astype(np.float32))


def mask(rows):
    found = np.zeros(VISITORS, bool)
    found[rows] = True
    return found


def test_planted_look_alikes_are_found():
    """From half of a crowd with one taste, the other half comes out on top."""
    counts = crowd()
    scores = model.score(counts, mask(np.arange(200)))
    rest = np.arange(200, VISITORS)
    relevant = rest < 400
    assert quality.auc(scores[rest], relevant) > 0.85
    assert quality.lift(scores[rest], relevant, 0.01) > 8


def test_few_seeds_still_find_most():
    """Forty seed members are enough to beat chance by far."""
    counts = crowd()
    scores = model.score(counts, mask(np.arange(40)))
    rest = np.arange(40, VISITORS)
    assert quality.auc(scores[rest], rest < 400) > 0.75


def test_heavy_users_do_not_fill_the_top():
    """Bots-like regulars who do a hundred times as much of everything are not thereby alike."""
    counts = crowd().tolil()
    heavy = np.arange(VISITORS - 40, VISITORS)
    counts[heavy] = counts[heavy].toarray() * 100
    scores = model.score(counts.tocsr(), mask(np.arange(200)))
    rest = np.arange(200, VISITORS)
    top = rest[np.argsort(-scores[rest], kind="stable")[:100]]
    assert np.isin(top, heavy).sum() < 10


@pytest.mark.parametrize("drawn", [1, 2, 3])
def test_a_random_seed_is_worthless_and_said_to_be(drawn):
    """A seed drawn by lot cannot be learnt: AUC near 0.5, and the words say so."""
    seed = np.random.default_rng(drawn).choice(VISITORS, 300, replace=False)
    found = quality.held_out(crowd(drawn), mask(seed))
    assert 0.4 < found.auc < 0.6
    assert found.worthless
    assert "drawn by lot" in found.words()


def test_a_real_seed_is_not():
    """A planted taste passes the same test, beats activity, and its features lead the explanation."""
    counts, seed = crowd(), mask(np.arange(300))
    found = quality.held_out(counts, seed, share=0.05)
    assert not found.worthless
    assert found.low > 0.7
    assert found.lift > 2 * found.lift_of_active
    names = [f"product:{i}" for i in range(FEATURES)]
    weights = quality.telling(model.fit(counts, seed), counts, seed, names)
    assert {one.feature for one in weights[:5]} <= set(names[-10:])
    assert weights[0].points
    assert "of the seed" in weights[0].words()


def test_a_few_who_are_all_found_make_nobody_certain():
    """Ten of ten on top: the area is 1, and its interval still says that there were ten."""
    counts = sparse.csr_matrix(np.where(np.arange(VISITORS) < 60, [[3.0], [0]], [[0], [3.0]]).T)
    found = quality.held_out(counts, mask(np.arange(30)))
    assert found.auc > 0.98
    assert 0.7 < found.low < 0.95
    assert found.high == 1


def test_a_giveaway_is_no_feature():
    """A feature that only the seed has would answer for the model; without it, the others speak."""
    counts, seed = crowd(), mask(np.arange(200))
    given_away = sparse.hstack([counts, sparse.csr_matrix(seed[:, None].astype(np.float32))], format="csr")
    assert FEATURES not in model.fit(given_away, seed).kept
    assert np.array_equal(model.score(given_away, seed), model.score(counts, seed))


def test_the_same_data_give_the_same_scores():
    """A refit without news changes nobody's membership."""
    counts, seed = crowd(), mask(np.arange(200))
    assert np.array_equal(model.score(counts, seed), model.score(counts.copy(), seed.copy()))


def test_counts_speak():
    """Those who did it often rank above those who did it once."""
    counts = crowd()
    often = counts.tolil()
    often[500, FEATURES - 1], often[501, FEATURES - 1] = 20, 0
    scores = model.score(often.tocsr(), mask(np.arange(200)))
    assert scores[500] > scores[501]


@pytest.mark.parametrize("rows", [[], range(VISITORS)])
def test_an_empty_side_is_refused(rows):
    """Nothing to learn, or nobody to tell it from: an error, not a score."""
    with pytest.raises(ValueError, match="a seed and others"):
        model.fit(crowd(), mask(list(rows)))


def test_a_small_seed_is_refused_with_the_number_needed():
    """The hold-out says how many it needs."""
    for few in (np.arange(29), np.arange(29, VISITORS)):
        with pytest.raises(model.Unlearnable, match=r"29 visitors .* at least 30"):
            quality.held_out(crowd(), mask(few))


def test_the_share_is_of_the_eligible():
    """Ten percent of the eligible, best first, ties to the earlier row."""
    scores = np.array([5.0, 9.0, 9.0, 1.0, 7.0, 0, 0, 0, 0, 0, 0, 100.0])
    eligible = np.ones(12, bool)
    eligible[[0, 11]] = False
    assert quality.choose(scores, eligible, 0.3).tolist() == [1, 2, 4]


def test_activity_does_not_depend_on_order():
    """The same events in any order give the same table, visitors by id and features by name."""
    events = [(bytes([i % 7]) * 16, i * 1000, [f"product:{i % 5}", "event:pagevisit"]) for i in range(200)]
    tables = []
    for order in (events, events[::-1], sorted(events, key=lambda one: one[2])):
        gathering = activity.Gathering()
        for event in order:
            gathering.see(*event)
        tables.append(gathering.activity(10**9))
    one, two, three = tables
    assert one.visitors == sorted(one.visitors) == two.visitors == three.visitors
    assert one.features == sorted(one.features) == two.features == three.features
    first, second, third = (table.counts[:] for table in tables)
    assert (first != second).nnz == (first != third).nnz == 0
    assert first.sum() == 400
    assert one.last.tolist() == two.last.tolist() == three.last.tolist()


def test_activity_does_not_depend_on_the_pieces(monkeypatch):
    """Events that become counts a few at a time, their bundles forgotten in between, give the same table."""
    times = range(10**12, 10**12 + 200 * 20_000_000, 20_000_000)
    events = [(bytes([i % 7]) * 16, at, [f"product:{i % 5}"], ["device:m"]) for i, at in enumerate(times)]
    tables = []
    for pending in (1_000, 9):
        monkeypatch.setattr(activity, "PENDING", pending)
        gathering = activity.Gathering()
        for number, (visitor, time, act, context) in enumerate(events):
            gathering.take([visitor], [time], [gathering.bundle(act)], [gathering.bundle(context)])
            if pending == 9 and number % 31 == 0:
                gathering.forget()
        tables.append(gathering.activity(2 * 10**12))
    one, two = tables
    assert (one.visitors, one.features) == (two.visitors, two.features)
    assert (one.counts[:] != two.counts[:]).nnz == 0
    assert one.counts[:].sum() == 400
    assert np.array_equal(one.counts[np.array([5, 1])].toarray(), one.counts[:].toarray()[[5, 1]])
    assert np.array_equal(one.profile, two.profile)
    days = {at // activity.DAY for at in times[::7]}
    assert one.profile[0, 2] == pytest.approx(np.log1p(len(days)))


def test_nothing_gathered_is_an_empty_table():
    """A shop without events has a table without rows."""
    found = activity.Gathering().activity(0)
    assert found.counts.shape == found.counts[:].shape == (0, 0)
    assert found.profile.shape == (0, 3)


def test_an_event_becomes_words_for_what_was_done():
    """Products, categories, page, referrer, campaign and device; once each; no query, no identifiers."""
    items = [{"product_id": "11", "product_category": "shoes"}, {"product_id": "12"}]
    data = {"line_items": items, "product_id": "11", "value": 12.5, "order_id": "A-1"}
    page = features.page("https://shop.example/shoes/red/11?email=ada@example.com")
    context = {
        "device": "mobile",
        "ref": "https://www.pinterest.com/pin/1",
        "utm_campaign": "spring",
        "lang": "de",
    }
    done = features.of_act("addtocart", page, features.told(json.dumps(data).encode()))
    assert [*done, *features.of_context(json.dumps(context).encode())] == [
        "event:addtocart",
        "page:/shoes/red",
        "product:11",
        "category:shoes",
        "product:12",
        "device:mobile",
        "campaign:spring",
        "referrer:pinterest.com",
    ]


def test_data_of_any_kind_becomes_words():
    """Products may be lists; what is of no kind that a feature can be is left out, and loses nothing else."""
    strange = {"product_id": ["1", 2, {"a": 1}], "search_query": ["x"], "line_items": [{"product_id": []}, 7]}
    assert features.of_act("x", "", features.told(json.dumps(strange | {"promo_code": "P"}).encode())) == [
        "event:x",
        "promotion:P",
        "product:1",
        "product:2",
    ]
    assert features.told(b"") == features.told(b'{"value": 3, "line_items": null}') == features.NOTHING
    assert features.of_context(b"") == []


def test_the_same_act_is_the_same_again():
    """Values and order ids differ each time and are no part of what was done."""
    one, two = (features.told(b'{"value": %d, "line_items": [{"product_id": "1"}]}' % n) for n in (1, 2))
    assert one == two
    assert hash(one) == hash(two)


def test_a_weight_that_only_corrects_another_is_not_shown():
    """Every feature that is said to speak for likeness is more common in the seed, and the reverse."""
    counts, seed = crowd(), mask(np.arange(300))
    twice = sparse.hstack([counts, sparse.diags(np.arange(VISITORS) % 3.0) @ counts[:, [-1]]], format="csr")
    names = [f"product:{i}" for i in range(FEATURES + 1)]
    found = quality.telling(model.fit(twice, seed), twice, seed, names, most=100)
    assert len(found) > 20
    assert all(one.points == (one.of_seed > one.of_others) for one in found)


def test_ties_are_shared_whatever_the_order():
    """Ten of a hundred are wanted and all look the same: whoever comes first, chance finds a tenth."""
    wanted = np.arange(100) < 10
    assert quality.lift(np.ones(100), wanted, 0.1) == pytest.approx(1)
    assert quality.lift(np.ones(100), wanted[::-1], 0.1) == pytest.approx(1)
    assert quality.lift(wanted.astype(float), wanted, 0.1) == pytest.approx(10)
    assert quality.lift(np.ones(100), np.zeros(100, bool), 0.1) == 0


def test_nothing_in_common_cannot_be_learnt():
    """Where no two visitors did the same thing there is nothing to go by: an error that says so."""
    with pytest.raises(model.Unlearnable, match="nothing that 3 visitors did"):
        model.fit(sparse.identity(200, np.float32, "csr"), np.arange(200) < 50)
