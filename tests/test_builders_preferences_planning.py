"""What pairs are made with follows from seed and image alone, in the shares that are asked for."""

from collections import Counter

from builders.preferences.planning import CAPTION, IMAGINE, PairPlan, other_image, plan_pairs
from builders.preferences.settings import PreferencesSettings

NAMES = ("describe", *(f"{kind}{number}" for kind in (CAPTION, IMAGINE) for number in range(1, 9)))
IMAGES = [f"{number:064x}" for number in range(800)]


def plans(settings: PreferencesSettings, seed: int = 0) -> list[PairPlan]:
    return [plan for image in IMAGES for plan in plan_pairs(settings, NAMES, seed=seed, image_id=image)]


def test_ways_prompts_and_corruptions_come_as_often_as_in_the_paper() -> None:
    found = plans(PreferencesSettings())
    spoilt = [plan.corruption for plan in found if plan.corruption]
    assert 340 < len(spoilt) < 460
    assert set(spoilt) == {"resize", "colour"}
    assert 150 < Counter(spoilt)["resize"] < 250
    assert all((plan.imagine is None) == (plan.corruption is not None) for plan in found)
    for counts in (Counter(plan.caption for plan in found), Counter(plan.imagine for plan in found if plan.imagine)):
        assert len(counts) == 8
        assert max(counts.values()) < 2 * min(counts.values())


def test_shares_of_none_and_of_all() -> None:
    assert not any(plan.corruption for plan in plans(PreferencesSettings(corruption_share=0)))
    assert all(plan.corruption for plan in plans(PreferencesSettings(corruption_share=1)))
    assert {plan.corruption for plan in plans(PreferencesSettings(corruptions=("swap",)))} == {"swap", None}


def test_the_pairs_of_an_image_have_prompts_of_their_own() -> None:
    settings = PreferencesSettings(pairs=8, corruption_share=0)
    for image in IMAGES[:20]:
        found = plan_pairs(settings, NAMES, seed=0, image_id=image)
        assert len({plan.caption for plan in found}) == len({plan.imagine for plan in found}) == 8
        assert len({plan.seed for plan in found}) == 8
    few = plan_pairs(settings, ["caption_1", "imagine_a", "imagine_b"], seed=0, image_id=IMAGES[0])
    assert Counter(plan.imagine for plan in few) == {"imagine_a": 4, "imagine_b": 4}


def test_nothing_but_seed_and_image_decides() -> None:
    settings = PreferencesSettings(pairs=3)
    first = plan_pairs(settings, NAMES, seed=1, image_id=IMAGES[0])
    assert first == plan_pairs(settings, NAMES[::-1], seed=1, image_id=IMAGES[0])
    assert first[:1] == plan_pairs(PreferencesSettings(), NAMES, seed=1, image_id=IMAGES[0])
    assert plans(settings) != plans(settings, seed=1)


def test_another_image_is_never_the_same() -> None:
    for seed in range(50):
        found = other_image(IMAGES[:3], IMAGES[1], seed)
        assert found in (IMAGES[0], IMAGES[2])
        assert found == other_image(IMAGES[2::-1], IMAGES[1], seed)
    assert {other_image(IMAGES[:3], IMAGES[1], seed) for seed in range(50)} == {IMAGES[0], IMAGES[2]}
    assert other_image([IMAGES[1], IMAGES[1]], IMAGES[1], 0) is None
    assert other_image([], IMAGES[1], 0) is None
