"""Arrays from anyone's files: which file and name are meant, tables as people write them, and their mistakes."""

import numpy as np
import pytest

from cscelab.arrayfiles import open_arrays, split_name


def message(path) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        open_arrays(path).read("")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "path", "name"),
    [
        ("results.mat:B_test", "results.mat", "B_test"),
        ("C:\\data\\results.MAT:B_test", "C:\\data\\results.MAT", "B_test"),
        ("C:\\data\\results.mat", "C:\\data\\results.mat", None),
        ("runs/a.npz.d/codes.npz", "runs/a.npz.d/codes.npz", None),
        ("a:b.csv", "a:b.csv", None),
    ],
)
def test_a_name_stands_after_the_last_colon_behind_a_suffix(given, path, name):
    found = split_name(given)
    assert (str(found[0]), found[1]) == (path, name)


def test_arrays_are_listed_and_long_lists_cut(tmp_path):
    np.savez(tmp_path / "a.npz", **{f"x{i}": np.zeros((i, 2), np.int8) for i in range(14)})
    said = open_arrays(tmp_path / "a.npz").contents()
    assert said.startswith("x0 (0, 2) int8, x1 (1, 2) int8, ")
    assert said.endswith(", x11 (11, 2) int8 and 2 more")


def test_tables_as_spreadsheets_and_pandas_write_them(tmp_path):
    path = tmp_path / "codes.csv"
    for text in (
        "\ufeff1,-1,1\r\n-1,-1,1\r\n\r\n",
        "0,1,2\n1,-1,1\n-1,-1,1\n",
        "# made by hand\nbit a,bit b,bit c\n1, -1, 1\n-1, -1, 1",
        '"x","y","z"\n"1","-1","1"\n"-1","-1","1"\n',
    ):
        path.write_bytes(text.encode())
        assert open_arrays(path).read("").tolist() == [[1, -1, 1], [-1, -1, 1]], text


def test_files_that_are_not_there_or_of_other_kinds(tmp_path):
    assert message(tmp_path / "no.npz") == f"there is no file {tmp_path / 'no.npz'}; check the path"
    assert "is a folder without a codes.npz" in message(tmp_path)
    (tmp_path / "codes.pkl").write_bytes(b"x")
    assert "unknown kind '.pkl'; expected one of .npy, .npz, .mat, .csv" in message(tmp_path / "codes.pkl")
    (tmp_path / "a.csv").touch()
    assert "is empty" in message(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,-1\n-1,x\n", "the text 'x' at line 2, column 2"),
        ("a,b\n1,-1\n\n-1,dog\n", "the text 'dog' at line 4, column 2"),
        ("1,-1\n1,\n", "an empty cell at line 2, column 2"),
        ("1,-1\n1,1,1\n", "3 columns in line 2 and 2 before"),
        ("1 -1\n1\n", "1 columns in line 2 and 2 before"),
        ("a,b\n", "a header and no numbers"),
        ("\n \n", "holds no numbers"),
    ],
)
def test_tables_with_mistakes(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    assert said in message(tmp_path / "a.csv")


@pytest.mark.parametrize("text", [",0,1\n0,1,-1\n1,1,1\n", "\ufeff,bit a\n0,1\n", '"";"x";"y"\n"0";"1";"1"\n'])
def test_the_index_column_of_pandas_is_no_column_of_numbers(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert message(tmp_path / "a.csv").endswith(
        "looks like a table with a pandas index column, whose header is empty; write it with index=False"
    )
    (tmp_path / "a.csv").write_text(",1,1\n1,-1,1\n")
    assert "an empty cell at line 1, column 1" in message(tmp_path / "a.csv")


def test_tables_in_other_encodings(tmp_path):
    (tmp_path / "a.csv").write_bytes("1,-1\n".encode("utf-16"))
    assert "not text in UTF-8" in message(tmp_path / "a.csv")
