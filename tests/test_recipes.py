"""Named experiments: every method on every data set of a profile, and rows whose trunk is their own."""

from dataclasses import replace

import pytest

from cscelab.methods import METHODS
from cscelab.profiles import PROFILES, SINGLE
from cscelab.recipes import METHODS_BY_RECIPE, OWN_TRUNKS, TABLE1, UNSUPERVISED, describe, recipe, titled


def test_every_method_is_a_recipe_of_its_name():
    assert METHODS.keys() <= METHODS_BY_RECIPE.keys()
    for name, config in METHODS.items():
        assert type(METHODS_BY_RECIPE[name]) is config
    assert set(UNSUPERVISED) < METHODS.keys()


def test_a_recipe_on_scenes_is_the_same_experiment_on_several_labels():
    single, scenes = (recipe("dhn", "quick", 32, 1, on) for on in (SINGLE, "scenes"))
    assert scenes == replace(single, name="scenes/dhn/32", data=replace(single.data, scenes=True))
    assert single.name == "dhn/32"
    assert not single.data.scenes


def test_a_recipe_takes_the_data_depth_and_trunk_of_the_profile():
    coco = recipe("csq", "paper", 64, on="coco")
    assert (coco.map_at, coco.method.backbone.name, coco.data.root.split("/")[-1]) == (5000, "resnet50", "coco")
    assert coco.name == "coco/csq/64"
    with pytest.raises(ValueError, match=r"'quick' has no benchmark 'coco'; choose from \['scenes', 'single'\]"):
        recipe("csq", "quick", on="coco")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("name", "method", "trunk"), [(name, *of) for name, of in OWN_TRUNKS.items()])
def test_a_trunk_of_its_own_is_kept_under_every_profile(profile, name, method, trunk):
    own, plain = (recipe(each, profile, 32).method for each in (name, method))
    assert own.backbone.name == trunk
    assert replace(own, backbone=plain.backbone) == plain
    assert plain.backbone == PROFILES[profile].backbone


def test_titles_name_a_trunk_of_its_own_and_are_all_different():
    assert titled(METHODS_BY_RECIPE["csce-vgg16"]) == "CSCE-Net (VGG16)"
    assert titled(METHODS_BY_RECIPE["transhash-vit"]) == "TransHash (ViT)"
    assert titled(recipe("csce", "paper").method) == "CSCE-Net"
    assert [titled(method) for method in TABLE1.values()] == list(TABLE1)
    assert len(TABLE1) == len(METHODS) + len(OWN_TRUNKS)
    assert "backbone" not in describe()["cibhash-gcvit"]
    assert describe()["cibhash-gcvit"].startswith("CIBHash (GCViT-XXT) (")
