"""Several data sets as one: channels aligned by name, statistics of their own."""

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.cli import main
from fno_lightning.data import GeneratedDataModule, MixedDataModule, OnTheFlyDataModule, WellDataModule
from fno_lightning.modules import FNOModule, ForecastModule
from fno_lightning.pdes import AdvectionDiffusion, Helmholtz, Poisson
from tests.travelling_wave import TravellingWave

PDES = {"poisson": Poisson, "advection_diffusion": AdvectionDiffusion, "helmholtz": Helmholtz}
SCALARS = ("diffusion_xx", "diffusion_yy", "diffusion_xy", "velocity_x", "velocity_y", "omega")
N_TRAIN = {"poisson": 5, "advection_diffusion": 4, "helmholtz": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("mixed"))


def member(name, folder, **options):
    pde = PDES[name](resolution=(32, 32))
    return GeneratedDataModule(pde, folder, n_train=N_TRAIN[name], n_valid=2, n_test=2, n_steps_input=0, **options)


@pytest.fixture
def mixed(folder):
    data = MixedDataModule({name: member(name, folder) for name in PDES}, batch_size=4)
    data.prepare_data()
    data.setup("fit")
    return data


def test_channels_are_those_of_all_members(mixed):
    spec = mixed.spec
    assert spec.scalars == tuple(SCALARS)
    assert spec.members == tuple(PDES)
    assert spec.constant_fields == ("source",)
    assert spec.dataset_name == "poisson+advection_diffusion+helmholtz"
    assert "helmholtz: simulated" in spec.source


def test_samples_are_those_of_the_members_with_zeros_for_absent_scalars(mixed):
    data = mixed.dataset("train")
    assert len(data) == sum(N_TRAIN.values())
    batch = data.__getitems__([11, 0, 6, 4, 5])
    for row, (name, index) in enumerate(
        [("helmholtz", 2), ("poisson", 0), ("advection_diffusion", 1), ("poisson", 4), ("advection_diffusion", 0)]
    ):
        own, spec = mixed.members[name].dataset("train")[index], mixed.members[name].spec
        assert torch.equal(batch.target[row], own.target)
        assert torch.equal(batch.constants[row], own.constants)
        expected = dict(zip(spec.scalars, own.scalars.tolist(), strict=True))
        found = dict(zip(mixed.spec.scalars, batch.scalars[row].tolist(), strict=True))
        assert batch.member[row] == list(PDES).index(name)
        assert found == {scalar: expected.get(scalar, 0.0) for scalar in SCALARS}
    assert torch.equal(data[6].target, batch.target[2])


def test_an_epoch_mixes_the_members(mixed):
    torch.manual_seed(0)
    batches = list(mixed.train_dataloader())
    assert {len(batch.target) for batch in batches} == {4}
    assert any(len(batch.member.unique()) > 1 for batch in batches)
    counts = torch.cat([batch.member for batch in batches]).bincount()
    assert counts.tolist() == list(N_TRAIN.values())


def test_each_member_has_its_own_statistics_and_scalars_are_pooled(mixed):
    statistics = mixed.statistics
    for row, (_, data) in enumerate(mixed.members.items()):
        assert torch.equal(statistics.mean[row], data.statistics.mean)
        assert torch.equal(statistics.std[row], data.statistics.std)
        assert torch.equal(statistics.constant_std[row], data.statistics.constant_std)
    data = mixed.dataset("train")
    scalars = data.__getitems__(range(len(data))).scalars.double()
    torch.testing.assert_close(statistics.scalar_mean, scalars.mean(dim=0))
    torch.testing.assert_close(statistics.scalar_std, scalars.std(dim=0, correction=0))


def test_scalars_of_all_members_have_pooled_logarithms(folder):
    slow, fast = (
        GeneratedDataModule(TravellingWave(speeds=s), folder, n_steps_input=2) for s in ((0.1, 0.5), (1.0, 2.0))
    )
    data = MixedDataModule({"slow": slow, "fast": fast})
    data.prepare_data()
    data.setup("fit")
    samples = data.dataset("train")
    logarithms = samples.__getitems__(range(len(samples))).scalars.double().log()
    statistics = data.statistics
    torch.testing.assert_close(statistics.scalar_log_mean, logarithms.mean(dim=0))
    torch.testing.assert_close(statistics.scalar_log_std, logarithms.std(dim=0, correction=0))
    assert (statistics.scalar_min.item(), statistics.scalar_max.item()) == (pytest.approx(0.1), 2)
    assert MixedDataModule({"slow": slow}, names=["slow", "other"]).statistics.scalar_log_mean.isnan()


def test_a_scalar_that_a_member_lacks_has_no_logarithm(mixed):
    lacking = [any(name not in data.spec.scalars for data in mixed.members.values()) for name in SCALARS]
    assert any(lacking)
    assert mixed.statistics.scalar_log_mean[lacking].isnan().all()
    assert (mixed.statistics.scalar_min[lacking] <= 0).all()


def test_a_model_of_the_mixture_is_tested_and_fine_tuned_on_one_member(mixed, folder, make_trainer, tmp_path):
    module = FNOModule(mixed.spec, (8, 8), 4, n_layers=1, n_steps_input=0)
    trainer = make_trainer()
    trainer.fit(module, mixed)
    trainer.save_checkpoint(tmp_path / "mixed.ckpt")
    single = MixedDataModule(
        {"helmholtz": member("helmholtz", folder)}, names=list(PDES), scalars=list(SCALARS), batch_size=2
    )
    loaded = ForecastModule.load_from_checkpoint(tmp_path / "mixed.ckpt")
    make_trainer().test(loaded, datamodule=single, verbose=False)
    batch = next(iter(single.test_dataloader()))
    assert batch.member.tolist() == [2, 2]
    torch.testing.assert_close(
        loaded.normalizer.encode(batch.target, batch.member),
        (batch.target - mixed.statistics.mean[2].float()) / mixed.statistics.std[2].float(),
    )
    tuned = FNOModule(single.spec, (8, 8), 4, n_layers=1, n_steps_input=0, initial_weights=str(tmp_path / "mixed.ckpt"))
    make_trainer(max_steps=1).fit(tuned, single)
    assert torch.equal(tuned.normalizer.fields.mean, mixed.statistics.mean)


def test_another_resolution_is_that_of_every_member(mixed):
    finer = mixed.at_resolution((64, 64))
    assert finer.spec.grid_shape == (64, 64)
    assert finer.spec.scalars == mixed.spec.scalars
    assert finer.batch_size == mixed.batch_size
    assert mixed.spec.grid_shape == (32, 32)


def test_rollouts_are_batched_by_member(mixed):
    assert mixed.rollout_batches("valid") == [[0], [1], [2], [3], [4], [5]]


def test_the_command_line_makes_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixed.yaml").write_text(f"""
trainer: {{accelerator: cpu, max_epochs: 1, logger: false, enable_progress_bar: false, enable_checkpointing: false}}
model:
  class_path: fno_lightning.modules.FNOModule
  init_args: {{n_modes: [8, 8], hidden_channels: 4, n_layers: 1}}
data:
  class_path: fno_lightning.data.MixedDataModule
  init_args:
    batch_size: 4
    members:
      poisson:
        class_path: fno_lightning.data.GeneratedDataModule
        init_args:
          pde: {{class_path: fno_lightning.pdes.Poisson}}
          base_path: {folder}
          n_train: 5
          n_valid: 2
          n_test: 2
          n_steps_input: 0
      helmholtz:
        class_path: fno_lightning.data.GeneratedDataModule
        init_args:
          pde: {{class_path: fno_lightning.pdes.Helmholtz}}
          base_path: {folder}
          n_train: 3
          n_valid: 2
          n_test: 2
          n_steps_input: 0
""")
    cli = main(["fit", "--config", "mixed.yaml"])
    assert cli.model.spec.members == ("poisson", "helmholtz")
    assert cli.trainer.callback_metrics["val/vrmse"] > 0


def wave(folder, **options):
    return GeneratedDataModule(TravellingWave(), folder, **{"n_steps_input": 2} | options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: MixedDataModule({}), "members is empty"),
        (
            lambda folder: MixedDataModule({"poisson": member("poisson", folder)}, names=["helmholtz"]),
            r"members \['poisson'\] are not among the names \['helmholtz'\]",
        ),
        (
            lambda folder: MixedDataModule({"poisson": member("poisson", folder)}, scalars=["omega"]).spec,
            r"the members' scalars \['diffusion_xx', .*\] are not among the scalars \['omega'\]",
        ),
        (
            lambda folder: MixedDataModule({"poisson": member("poisson", folder), "wave": wave(folder)}),
            "the member 'wave' has n_steps_input=2, but the first one has 0",
        ),
        (
            lambda folder: (
                MixedDataModule(
                    {"a": wave(folder), "b": GeneratedDataModule(TravellingWave(grid=(8,)), folder, n_steps_input=2)}
                ).spec
            ),
            r"the member 'b' has grid_shape \(8,\), but the first one has \(16,\)",
        ),
        (
            lambda folder: MixedDataModule({"a": wave(folder), "b": wave(folder, n_steps_output=2)}),
            r"the members have n_steps_output \{'a': 1, 'b': 2\}: all must have the same",
        ),
        (
            lambda folder: MixedDataModule({"fresh": OnTheFlyDataModule(Poisson(resolution=(32, 32)))}),
            r"the members \['fresh'\] have no stored samples: use GeneratedDataModule",
        ),
    ],
)
def test_members_that_do_not_fit_are_named(folder, make, message):
    with pytest.raises(ValueError, match=message):
        make(folder)


@pytest.mark.parametrize("cache", ["none", "ram"])
@pytest.mark.parametrize("name", ["t0_fields/density", "t0_fields/mask", "scalars/forcing"])
def test_every_batch_has_the_precision_of_the_finest_member(data_set, name, cache):
    single, double = data_set(name="single"), data_set(name="double")
    for path in double.glob("data/*/*.hdf5"):
        with h5py.File(path, "r+") as file:
            attributes, values = dict(file[name].attrs), file[name][()].astype(np.float64)
            del file[name]
            file[name] = values
            file[name].attrs.update(attributes)
    members = {
        root.name: WellDataModule(root.name, str(root.parent), n_steps_input=2, cache=cache)
        for root in (single, double)
    }
    batches = list(MixedDataModule(members, batch_size=1).train_dataloader())
    assert {batch.member.item() for batch in batches} == {0, 1}
    parts = {"t0_fields/density": {0, 3}, "t0_fields/mask": {1}, "scalars/forcing": {2}}[name]
    for batch in batches:
        for number, part in enumerate(batch[:-1]):
            assert part.dtype == (torch.float64 if number in parts else torch.float32)
