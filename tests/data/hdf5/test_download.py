import sys

import pytest

from fno_lightning.data import WellDataModule


@pytest.fixture
def without_the_well(monkeypatch):
    for name in ("the_well", "the_well.utils", "the_well.utils.download"):
        monkeypatch.setitem(sys.modules, name, None)


def test_a_download_without_the_well_names_two_ways_out(tmp_path, without_the_well):
    module = WellDataModule("active_matter", str(tmp_path), source="download")
    expected = rf"pip install the_well`, or place the files by hand in {tmp_path}/active_matter/data/train"
    with pytest.raises(ImportError, match=expected):
        module.prepare_data()


def test_data_on_disk_need_no_downloader(data_set, without_the_well):
    root = data_set()
    WellDataModule(root.name, str(root.parent), n_steps_input=2, source="download").prepare_data()
