"""Files of weights: one sentence where a download fails, no waiting for ever, caches, what the doctor says of them."""

import socket
from http.client import IncompleteRead
from ssl import SSLError
from urllib.error import HTTPError, URLError

import pytest
import torch

from cscelab import doctor
from cscelab.model import weightfiles
from cscelab.model.weightfiles import Published, cached_names, fetch


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (URLError(socket.gaierror(-2, "Name or service not known")), "Name or service not known"),
        (HTTPError("https://example.org/w.pth", 403, "Forbidden", None, None), "HTTP Error 403: Forbidden"),
        (SSLError("certificate verify failed"), "certificate verify failed"),
        (IncompleteRead(b"half"), r"IncompleteRead\(4 bytes read\)"),
        (RuntimeError('invalid hash value (expected "1234", got "5678")\nmore'), r'invalid hash value \(.*"5678"\)\)'),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_every_failure_of_a_download_is_one_sentence(hub, monkeypatch, error, why):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(
        OSError, match=rf"weights of a net could not be downloaded .*{why}.*; fetch that file"
    ) as raised:
        fetch(Published("https://example.org/w.pth", "w.pth"), "a net")
    text = str(raised.value)
    assert "https://example.org/w.pth" in text
    assert f"save it as {hub / 'w.pth'}" in text
    assert "\n" not in text


def test_a_server_that_says_nothing_is_not_waited_for(hub, monkeypatch):
    monkeypatch.setattr(weightfiles, "PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/w.pth"
        with pytest.raises(OSError, match="timed out"):
            fetch(Published(url, "w.pth"), "a net")
    assert socket.getdefaulttimeout() is None
    assert list(hub.iterdir()) == []  # nothing half done


def test_what_is_fetched_once_is_kept(hub, tmp_path):
    source = tmp_path / "published.pth"
    torch.save({"a": torch.ones(2)}, source)
    published = Published(source.as_uri(), "w.pth")
    assert fetch(published, "a net") == hub / "w.pth"
    source.unlink()
    assert fetch(published, "a net").is_file()


def test_another_checksum_is_refused(hub, tmp_path):
    (tmp_path / "published.pth").write_bytes(b"other bytes")
    with pytest.raises(OSError, match="invalid hash value"):
        fetch(Published((tmp_path / "published.pth").as_uri(), "w.pth", sha256="00000000"), "a net")
    assert list(hub.iterdir()) == []


def test_the_doctor_names_weights_of_both_caches(hub, tmp_path):
    assert (
        f"pretrained  no weights here; downloaded when first asked for, or put by hand into {hub}" in doctor.report()[0]
    )
    hub.mkdir(parents=True)
    (hub / "resnet18-f37072fd.pth").touch()
    for repository in ("timm--resnet50.a1_in1k", "timm--half.fetched", "someone--else"):
        folder = tmp_path / "hub" / f"models--{repository}" / "snapshots" / "abc"
        folder.mkdir(parents=True)
        if repository != "timm--half.fetched":
            (folder / "model.safetensors").touch()
    assert cached_names() == ["resnet18-f37072fd.pth", "timm/resnet50.a1_in1k"]
    assert "pretrained  resnet18-f37072fd.pth, timm/resnet50.a1_in1k\n" in doctor.report()[0]
