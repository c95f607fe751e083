"""Codes from anyone's files: every format gives the same arrays, names in common use are known, mistakes are named."""

import numpy as np
import pytest

from cscelab.codefiles import read_codes
from cscelab.codes import pack
from cscelab.encode import Encoded
from cscelab.files import EncodedFiles
from cscelab.layout import CodeLayout
from cscelab.score import score

h5py = pytest.importorskip("h5py")
savemat = pytest.importorskip("scipy.io").savemat

Q, N, K, C = 6, 20, 12, 4


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "query_codes": rng.choice([-1, 1], (Q, K)).astype(np.int8),
        "query_labels": rng.integers(0, C, Q),
        "database_codes": rng.choice([-1, 1], (N, K)).astype(np.int8),
        "database_labels": rng.integers(0, C, N),
    }


def scored(data) -> list:
    return score(
        data.query_codes, data.query_labels, data.database_codes, data.database_labels,
        ks=(None, 5), bits=data.bits, orders=0, query_ids=data.query_ids, database_ids=data.database_ids,
    ).rows()  # fmt: skip


def save_hdf5_mat(path, arrays) -> None:
    """As MATLAB's `save -v7.3`: a text header in a 512-byte block, vectors of two axes, columns first."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = (array.T if array.ndim == 2 else array[None]).astype(float)
        file.create_group("#refs#")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))


def one_file(folder, kind, arrays) -> list[str]:
    """Arguments of `read_codes` after writing the arrays as `kind`."""
    path = folder / f"all{kind}"
    if kind == ".npz":
        np.savez_compressed(path, **arrays)
    elif kind == ".mat":
        savemat(path, arrays)
    else:
        path = folder / "v73.mat"
        save_hdf5_mat(path, arrays)
    return [str(path)]


def four_files(folder, kind, arrays, delimiter=",", header="") -> list[str]:
    paths = []
    for name in ("query_codes", "database_codes", "query_labels", "database_labels"):
        path = folder / f"{name}{kind}"
        if kind == ".npy":
            np.save(path, arrays[name])
        else:
            np.savetxt(path, arrays[name], fmt="%d", delimiter=delimiter, header=header, comments="")
        paths.append(str(path))
    return paths


def alphabets(arrays) -> list[dict[str, np.ndarray]]:
    zero_one = {n: (a > 0).astype(np.uint8) if n.endswith("codes") else a for n, a in arrays.items()}
    floats = {n: a.astype(np.float32) if n.endswith("codes") else a.astype(float)[:, None] for n, a in arrays.items()}
    hot = {n: a if n.endswith("codes") else np.eye(C)[a] for n, a in arrays.items()}
    return [arrays, zero_one, floats, hot]


@pytest.mark.parametrize("kind", [".npz", ".mat", "hdf5"])
def test_one_file_with_everything_gives_the_same_numbers(tmp_path, arrays, kind):
    direct = score(**arrays, ks=(None, 5), orders=0).rows()
    for written in alphabets(arrays):
        assert scored(read_codes(*one_file(tmp_path, kind, written))) == direct


@pytest.mark.parametrize(
    ("kind", "delimiter", "header"),
    [(".npy", "", ""), (".csv", ",", ""), (".csv", ";", "a;b"), (".tsv", "\t", "code"), (".txt", " ", "# a remark")],
)
def test_a_file_each_gives_the_same_numbers(tmp_path, arrays, kind, delimiter, header):
    direct = score(**arrays, ks=(None, 5), orders=0).rows()
    for written in alphabets(arrays):
        assert scored(read_codes(*four_files(tmp_path, kind, written, delimiter, header))) == direct


def test_a_numpy_file_is_mapped_not_copied(tmp_path, arrays):
    data = read_codes(*four_files(tmp_path, ".npy", arrays))
    assert isinstance(data.database_codes, np.memmap)


def test_packed_codes_need_bits_unless_the_file_tells(tmp_path, arrays):
    packed = {n: pack(a) if n.endswith("codes") else a for n, a in arrays.items()}
    direct = score(**arrays, ks=(None, 5), orders=0).rows()
    (path,) = one_file(tmp_path, ".npz", packed)
    assert scored(read_codes(path, bits=K)) == direct
    with pytest.raises(ValueError, match="packed uint8 codes need bits="):
        scored(read_codes(path))
    values = {"query_values": arrays["query_codes"] * 0.5, "database_values": arrays["database_codes"] * 0.5}
    for told in (values, {"bits": np.array(K)}):
        data = read_codes(*one_file(tmp_path, ".npz", packed | told))
        assert data.bits == K
        assert scored(data) == direct


def test_a_stored_run_is_read_by_its_folder_with_its_ids(tmp_path, arrays):
    ids = {"query_ids": np.arange(Q), "database_ids": np.arange(N)}
    sides = {s: Encoded(pack(arrays[f"{s}_codes"]), arrays[f"{s}_codes"] * 0.5, None, arrays[f"{s}_labels"],
                        ids[f"{s}_ids"], CodeLayout(K)) for s in ("query", "database")}  # fmt: skip
    stored = {
        f"{s}_{part}": getattr(e, part) for s, e in sides.items() for part in ("codes", "values", "labels", "ids")
    }
    np.savez_compressed(tmp_path / "codes.npz", **stored)
    assert scored(read_codes(str(tmp_path))) == score(**arrays, **ids, ks=(None, 5), orders=0).rows()


@pytest.mark.parametrize(
    "names",
    [
        "qB qL rB rL",
        "qB_hash query_L rB_hash retrieval_L",
        "tst_binary tst_label trn_binary trn_label",
        "B_test L_te B_db L_db",
        "codes_query labels_query codes_database labels_database",
        "val_binary val_label B_train train_labels",
        "testCodes testLabels retrievalCodes retrievalLabels",
    ],
)
def test_names_in_common_use_are_known(tmp_path, arrays, names):
    renamed = dict(zip(names.split(), arrays.values(), strict=True)) | {"loss": np.ones(3), "note": np.array("text")}
    data = read_codes(*one_file(tmp_path, ".npz", renamed))
    for field, expected in arrays.items():
        assert (getattr(data, field) == expected).all()


def test_database_codes_go_before_train_codes(tmp_path, arrays):
    more = {"train_codes": arrays["query_codes"][:2], "train_labels": arrays["query_labels"][:2]}
    assert len(read_codes(*one_file(tmp_path, ".npz", more | arrays)).database_codes) == N


def test_names_are_given_after_a_colon(tmp_path, arrays):
    renamed = dict(zip(("first", "second", "third", "fourth"), arrays.values(), strict=True))
    (path,) = one_file(tmp_path, ".mat", renamed)
    data = read_codes(f"{path}:first", f"{path}:third", f"{path}:second", f"{path}:fourth")
    assert scored(data) == score(**arrays, ks=(None, 5), orders=0).rows()


def test_a_file_a_side_may_leave_the_side_out_of_its_names(tmp_path, arrays):
    for side in ("query", "database"):
        np.savez(tmp_path / f"{side}.npz", codes=arrays[f"{side}_codes"], labels=arrays[f"{side}_labels"])
    data = read_codes(str(tmp_path / "query.npz"), str(tmp_path / "database.npz"))
    assert scored(data) == score(**arrays, ks=(None, 5), orders=0).rows()


@pytest.mark.parametrize("hot", [False, True])
def test_columns_become_rows_where_the_labels_say_so(tmp_path, arrays, hot):
    turned = {n: a.T if n.endswith("codes") else (np.eye(C)[a] if hot else a) for n, a in arrays.items()}
    data = read_codes(*one_file(tmp_path, ".npz", turned))
    assert scored(data) == score(**arrays, ks=(None, 5), orders=0).rows()
    assert any("query codes were stored a column an item" in note for note in data.notes)
    straight = read_codes(*one_file(tmp_path, ".npz", arrays))
    assert not any("column an item" in note for note in straight.notes)


def test_which_way_codes_lie_is_not_guessed(tmp_path, arrays):
    """Codes (K, N) with labels (K, C) or (N, C) could both be meant when their transposes fit as well."""
    codes, labels = np.ones((5, 7)), np.eye(7)[:, [0, 1, 2, 3, 5]].T  # (5, 7): fits as it is
    np.savez(tmp_path / "a.npz", **arrays | {"query_codes": codes, "query_labels": labels})
    assert read_codes(str(tmp_path / "a.npz")).query_codes.shape == (5, 7)
    np.savez(tmp_path / "b.npz", **arrays | {"query_codes": codes, "query_labels": labels.T})  # either could be turned
    with pytest.raises(ValueError, match=r"\(5, 7\) and labels .* \(7, 5\) .* transpose what lies on its side"):
        read_codes(str(tmp_path / "b.npz"))


def test_signs_of_continuous_values_are_taken_only_when_asked(tmp_path, arrays):
    rng = np.random.default_rng(1)
    real = {n: a * rng.uniform(0.1, 2, a.shape) if n.endswith("codes") else a for n, a in arrays.items()}
    (path,) = one_file(tmp_path, ".npz", real)
    data = read_codes(path, binarise=True)
    assert scored(data) == score(**arrays, ks=(None, 5), orders=0).rows()
    assert sum("are the signs of" in note for note in data.notes) == 2
    with pytest.raises(ValueError, match=r"has the value .* at row 0, column 0; expected query codes .*--binarise"):
        read_codes(path)
    real["query_codes"][2, 3] = 0
    with pytest.raises(ValueError, match="has a 0 at row 2, column 3, which has no sign"):
        read_codes(*one_file(tmp_path, ".npz", real), binarise=True)
    real["query_codes"][1, 4] = np.nan
    for binarise in (False, True):
        with pytest.raises(ValueError, match="NaN or infinity at row 1, column 4"):
            read_codes(*one_file(tmp_path, ".npz", real), binarise=binarise)


def message(*arguments, **options) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        scored(read_codes(*(None if a is None else str(a) for a in arguments), **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", [".npz", ".mat", "hdf5", ".npy"])
def test_damaged_files_are_named(tmp_path, arrays, kind):
    whole = four_files(tmp_path, kind, arrays) if kind == ".npy" else one_file(tmp_path, kind, arrays)
    path = type(tmp_path)(whole[0])
    content = path.read_bytes()
    for size in (len(content) * 2 // 3, 130, 20, 3):
        path.write_bytes(content[: min(size, len(content) - 1)])
        said = message(*whole)
        assert said.startswith(str(path)), said
        assert "write it again" in said or "is no NumPy file" in said, said


class Poison:
    """Unpickling this would fail the test."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize("kind", [".npy", ".npz"])
def test_pickles_are_never_loaded(tmp_path, arrays, kind):
    path = tmp_path / f"codes{kind}"
    poisoned = np.array([Poison()], dtype=object)
    if kind == ".npy":
        np.save(path, poisoned, allow_pickle=True)
    else:
        np.savez(path, **arrays | {"query_codes": poisoned})
    said = message(path, path, path, path) if kind == ".npy" else message(path)
    assert "holds pickled Python objects, which are never loaded" in said
    path.write_bytes(b"\x80\x04not an array")
    assert "is no NumPy file, or holds pickled Python objects" in message(path)


def test_arrays_that_cannot_be_told_are_listed(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", first=arrays["query_codes"], second=arrays["query_labels"], third=np.array(["x"]))
    said = message(tmp_path / "a.npz")
    assert "no array called as query codes usually are" in said
    assert "it holds first (6, 12) int8, second (6,) int64, third (no numbers): give" in said
    assert "a.npz:NAME in place of the file" in said
    np.savez(tmp_path / "b.npz", **arrays | {"qB": arrays["query_codes"]})
    assert "the query codes may be query_codes or qB; it holds" in message(tmp_path / "b.npz")
    assert "has no array 'nope'; it holds query_codes (6, 12) int8" in message(f"{tmp_path / 'b.npz'}:nope")
    assert "holds <U1 values in third; expected numbers" in message(f"{tmp_path / 'a.npz'}:third")
    queries, database, *labels = four_files(tmp_path, ".npy", arrays)
    assert "holds one array, the query codes; name a file of the query labels with --query-labels" in message(queries)
    said = message(queries, database, labels[0])
    assert "holds one array, the database codes; name a file of the database labels with --database-labels" in said
    assert "name a file of the database codes after the queries'" in message(queries, None, *labels)
    assert "holds one array without a name; leave out ':x'" in message(f"{queries}:x")


def test_not_a_number_in_a_table_of_codes(tmp_path, arrays):
    paths = four_files(tmp_path, ".csv", arrays)
    type(tmp_path)(paths[0]).write_text("1,nan\n" + (Q - 1) * "1,1\n")
    assert message(*paths).startswith(f"{paths[0]} has NaN or infinity at row 0, column 1")


def test_codes_and_labels_of_different_numbers(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays | {"query_labels": arrays["query_labels"][:4]})
    said = message(tmp_path / "a.npz")
    assert "(6, 12) and labels" in said
    assert "(4,) are of different numbers of items; expected a row of codes and a label for each" in said
    np.savez(tmp_path / "b.npz", **arrays | {"query_codes": np.ones(Q)})
    assert "has shape (6,); expected query codes (N, K)" in message(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", **arrays, ids=np.arange(Q))
    assert "ids came for one side only" in message(tmp_path / "c.npz", query_ids=f"{tmp_path / 'c.npz'}:ids")


@pytest.mark.parametrize("kind", [".csv", ".mat"])
def test_ids_that_a_format_holds_as_floats_are_whole_numbers(tmp_path, arrays, kind):
    ids = {"query_ids": np.arange(Q) * 3, "database_ids": np.arange(N)}
    given = {}
    for name, values in ids.items():
        given[name] = str(tmp_path / f"{name}{kind}")
        if kind == ".csv":
            np.savetxt(given[name], values, fmt="%d")
        else:
            savemat(given[name], {name: values.astype(float)})
    (path,) = one_file(tmp_path, ".npz", arrays)
    data = read_codes(path, **given)
    assert data.query_ids.dtype == np.int64
    assert scored(data) == score(**arrays, **ids, ks=(None, 5), orders=0).rows()
    for wrong in (1.5, np.nan, np.inf, -(2.0**53)):
        np.save(tmp_path / "wrong.npy", np.array([0, 1, 2, wrong, 4, 5]))
        said = message(path, query_ids=str(tmp_path / "wrong.npy"), database_ids=given["database_ids"])
        assert said.startswith(f"{tmp_path / 'wrong.npy'} has the value {wrong:g}; expected query ids, whole numbers")


def square(n_query, n_database, bits=C) -> dict[str, np.ndarray]:
    """As many bits as classes, a row an item."""
    rng = np.random.default_rng(2)
    return {
        "query_codes": rng.choice([-1, 1], (n_query, bits)),
        "query_labels": np.eye(bits)[rng.integers(0, bits, n_query)],
        "database_codes": rng.choice([-1, 1], (n_database, bits)),
        "database_labels": np.eye(bits)[rng.integers(0, bits, n_database)],
    }


def test_both_sides_on_their_side_with_as_many_bits_as_classes_are_turned(tmp_path):
    straight = square(Q, N)
    (path,) = one_file(tmp_path, ".npz", {name: array.T for name, array in straight.items()})
    data = read_codes(path)
    assert scored(data) == score(**straight, ks=(None, 5), orders=0).rows()
    assert f"look transposed, stored a column an item, and are turned: {Q} queries" in data.notes[-1]
    data = read_codes(*one_file(tmp_path, ".npz", straight))
    assert scored(data) == score(**straight, ks=(None, 5), orders=0).rows()
    assert not any("transpose" in note for note in data.notes)


def test_sides_of_the_same_shape_are_not_scored_in_silence(tmp_path):
    straight = square(N, N)
    (path,) = one_file(tmp_path, ".npz", {name: array.T for name, array in straight.items()})
    said = message(path)
    assert f"codes and labels of both sides are all of shape ({C}, {N}); these look transposed" in said
    data = read_codes(*one_file(tmp_path, ".npz", straight))
    assert scored(data) == score(**straight, ks=(None, 5), orders=0).rows()
    assert f"read as {N} items, a row each: transpose them if a column is an item" in data.notes[-1]
    few = square(3, 3)  # truly fewer items than bits: the remedy that the message names changes no number
    wider = {n: np.pad(a, ((0, 0), (0, 1))) if n.endswith("labels") else a for n, a in few.items()}
    assert "add a column of zeros to the labels" in message(*one_file(tmp_path, ".npz", few))
    direct = score(**few, ks=(None, 5), orders=0).rows()
    assert scored(read_codes(*one_file(tmp_path, ".npz", wider))) == direct


def test_what_the_encode_command_wrote_needs_only_labels(tmp_path, arrays):
    sides = {}
    for side in ("query", "database"):
        codes = arrays[f"{side}_codes"]
        paths = tuple(tmp_path / f"{i}.jpg" for i in range(len(codes)))
        sides[side] = str(EncodedFiles(paths, codes, codes * 0.5, "an encoder").save(tmp_path / f"{side}.npz"))
        np.save(tmp_path / f"{side}_labels.npy", arrays[f"{side}_labels"])
    labels = {f"{side}_labels": str(tmp_path / f"{side}_labels.npy") for side in sides}
    data = read_codes(*sides.values(), **labels)
    assert data.bits == K
    assert scored(data) == score(**arrays, ks=(None, 5), orders=0).rows()
    for given in (sides.values(), [sides["query"]]):
        said = message(*given)
        assert f"{sides['query']} has no labels by any usual name; it holds paths (no numbers), codes (6, 2)" in said
        assert said.endswith("name files of labels with --query-labels and --database-labels")
    said = message(sides["query"], **labels)
    assert said.endswith(f"give {sides['query']}:NAME after the queries'")


def test_messages_name_where_the_arrays_came_from(tmp_path, arrays):
    (path,) = one_file(tmp_path, ".npz", arrays)
    data = read_codes(path)
    assert data.sources["database labels"] == f"{path}:database_labels"
    assert data.located("query codes are odd") == f"{path}:query_codes: query codes are odd"
    assert data.located("3 bits and 4 bits") == f"{path}:query_codes, {path}:database_codes: 3 bits and 4 bits"
    assert data.located("k is 0") == "k is 0"


def symbols_file(path, k, codes_of=("query", "database"), **more) -> str:
    """Packed one-hot codes of random symbols, 6 of 4 or 3 of 8, 24 bits stored, with labels."""
    rng, arrays = np.random.default_rng(1), {}
    for side, n in (("query", Q), ("database", N)):
        if side in codes_of:
            chosen = np.eye(k, dtype=bool)[rng.integers(0, k, (n, 24 // k))].reshape(n, 24)
            arrays |= {f"{side}_codes": np.packbits(chosen, axis=1), f"{side}_labels": rng.integers(0, C, n)}
    np.savez(path, **arrays, **more)
    return str(path)


@pytest.mark.parametrize(("arity", "bits"), [(4, 12), (8, 9)])
def test_a_file_that_says_that_its_codes_are_symbols_is_read_as_such(tmp_path, arity, bits):
    read = read_codes(symbols_file(tmp_path / "own.npz", arity, bits=24, arity=arity))
    assert (read.arity, read.bits) == (arity, bits)
    assert "query codes are packed, 24 bits each." in read.notes
    assert f"query and database codes are symbols of {arity}, one-hot." in read.notes
    nameless = symbols_file(tmp_path / "nameless.npz", arity, bits=24)
    assert (read_codes(nameless).arity, read_codes(nameless).bits) == (None, 24)
    told = read_codes(nameless, arity=arity)
    assert (told.arity, told.bits) == (arity, bits)
    told = read_codes(symbols_file(tmp_path / "bare.npz", arity), bits=bits, arity=arity)
    assert (told.arity, told.bits) == (arity, bits)


def test_files_that_disagree_about_symbols_are_refused_unless_told(tmp_path):
    query = symbols_file(tmp_path / "q.npz", 4, ["query"], bits=24, arity=4)
    bare = symbols_file(tmp_path / "bare.npz", 4, ["database"], bits=24)
    eight = symbols_file(tmp_path / "eight.npz", 8, ["database"], bits=24, arity=8)
    for database in (bare, eight):
        said = "the query codes' file says that they are symbols of 4, but not the database codes'; give codes of one"
        with pytest.raises(ValueError, match=said):
            read_codes(query, database)
    data = read_codes(query, bare, arity=4)
    assert (data.arity, data.bits) == (4, 12)
