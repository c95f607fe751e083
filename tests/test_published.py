"""Published numbers: complete, in place by the paper's own arithmetic, held by no other file."""

import re
from pathlib import Path

import pytest

import cscelab
from cscelab import published
from cscelab.published import EXCHNET, EXCHNET_LENGTHS, LENGTHS, TABLE1, TABLE2, TABLE3

# Table -> columns of the printed table that follow the row's name and backbone.
PRINTED_START = {1: "TransHash\t", 2: "Baseline\t", 3: "CE\t"}


def test_every_table_has_the_rows_and_columns_of_the_paper():
    assert (len(TABLE1.rows), len(TABLE2.rows), len(TABLE3.rows)) == (11, 6, 5)
    assert TABLE1.value("TransHash (ViT)", "MS COCO", 16) is None  # the paper has a dash
    missing = [(row, d) for row, found in TABLE1.rows.items() for d in TABLE1.data_sets if d not in found]
    assert missing == [("TransHash (ViT)", "MS COCO")]
    for table in (TABLE2, TABLE3):
        assert all(tuple(found) == table.data_sets for found in table.rows.values())
        assert set(table.backbones) == set(table.rows)


def test_the_whole_method_has_the_same_numbers_in_all_three_tables():
    for bits in LENGTHS:
        whole = TABLE1.value("CSCE-Net", "ImageNet100", bits)
        assert whole == TABLE2.value("Baseline + AIE", "ImageNet100", bits)
        assert whole == TABLE3.value("CF+DSF", "ImageNet100", bits)
        assert TABLE1.value("CSCE-Net", "MS COCO", bits) == TABLE2.value("Baseline + AIE", "MS COCO", bits)


def test_differences_stated_in_the_papers_text():
    # Sec. 4.3.1: 8.4 % over TransHash on ImageNet at 16 bits; 1.1, 1.4 and 2.7 % over CSQ on MS COCO.
    gain = TABLE1.value("CSCE-Net", "ImageNet100", 16) - TABLE1.value("TransHash (ViT)", "ImageNet100", 16)
    assert gain == pytest.approx(0.084)
    over_csq = [TABLE1.value("CSCE-Net", "MS COCO", b) - TABLE1.value("CSQ", "MS COCO", b) for b in LENGTHS]
    assert over_csq == pytest.approx([0.011, 0.014, 0.027])
    # Sec. 4.3.2: local details give 0.3 % on average over the baseline.
    rows = ("Baseline + local", "Baseline")
    local, base = ([TABLE2.value(row, "ImageNet100", b) for b in LENGTHS] for row in rows)
    assert sum(local) / 3 - sum(base) / 3 == pytest.approx(0.003, abs=5e-4)


@pytest.mark.parametrize(("number", "table"), [(1, TABLE1), (2, TABLE2), (3, TABLE3)])
def test_all_numbers_are_those_of_the_papers_text(number, table, shared_file):
    text = shared_file("papers/csce-net.txt").read_text()
    lines = text[text.index(f"Table {number}: ") :].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(PRINTED_START[number]))
    for line, (row, found) in zip(lines[first:], table.rows.items(), strict=False):
        assert line.split("\t")[0] == row.split(" (")[0]
        printed = [float(x) for x in re.findall(r"\b0\.\d{3}\b", line)]
        assert printed == [number for triple in found.values() for number in triple]
        assert number != 1 or line.split("\t")[1] == table.backbones[row]


def test_absent_rows_lengths_and_data_sets():
    assert TABLE3.value("CF+DSF learned", "ImageNet100", 16) is None  # a row of ours only
    assert TABLE3.value("CF", "ImageNet100", 48) is None
    with pytest.raises(ValueError, match=r"Table 3 .* has no data set 'MS COCO'; choose from"):
        TABLE3.value("CF", "MS COCO", 16)


def test_a_column_says_what_its_numbers_are():
    assert TABLE2.label("ImageNet100") == "published, ImageNet100 mAP@1000, ResNet50"
    assert TABLE2.label("MS COCO") == "published, MS COCO mAP@5000, ResNet50"
    assert TABLE1.label("NUS-WIDE") == "published, NUS-WIDE mAP@5000, ResNet50 unless named"
    assert "ACML 2022" in TABLE2.source


def test_a_table_can_stand_beside_with_some_of_its_data_sets():
    part = TABLE1.beside("MS COCO")
    assert part.data_sets == ("MS COCO",)
    assert part.source == TABLE1.source
    assert part.value("CSQ", "MS COCO", 32) == TABLE1.value("CSQ", "MS COCO", 32)
    with pytest.raises(ValueError, match="has no data set 'ImageNet100'; choose from"):
        part.value("CSQ", "ImageNet100", 32)
    with pytest.raises(ValueError, match=r"Table 2 .* has no data set 'NUS-WIDE'; choose from"):
        TABLE2.beside("MS COCO", "NUS-WIDE")


def test_exchnets_numbers_are_those_of_its_paper(shared_file):
    text = " ".join(shared_file("spec/exchnet.md").read_text().split())
    start = text.index("Published mAP %")
    groups = iter(re.findall(r"((?: \d\d?\.\d\d){4})", text[start : text.index("Worth a figure")]))
    printed = [tuple(float(number) for number in group.split()) for group in groups]
    ours = [numbers for row in ("ExchNet", "ADSH", "HashNet") for numbers in EXCHNET.rows[row].values()]
    ours += [
        EXCHNET.rows[row]["CUB-200-2011"]
        for row in ("ExchNet without exchange", "ExchNet, 2 parts", "ExchNet, 6 parts")
    ]
    assert len(printed) == len(ours) == 12
    for percent, shares in zip(printed, ours, strict=True):
        assert shares == pytest.approx([number / 100 for number in percent], abs=1e-12)


def test_exchnet_is_printed_at_four_lengths_on_five_data_sets():
    assert EXCHNET.lengths == EXCHNET_LENGTHS == (12, 24, 32, 48)
    assert EXCHNET.data_sets == ("CUB-200-2011", "FGVC-Aircraft", "NABirds", "VegFru", "Food-101")
    for found in EXCHNET.rows.values():
        for numbers in found.values():
            assert list(numbers) == sorted(numbers)  # longer codes are better in every row
            assert len(numbers) == 4
            assert 0 < numbers[0] < numbers[-1] < 1
    for data_set in EXCHNET.data_sets:  # the paper's claim
        for bits in EXCHNET.lengths:
            others = [EXCHNET.value(row, data_set, bits) for row in EXCHNET.rows if row != "ExchNet"]
            assert all(other is None or other < EXCHNET.value("ExchNet", data_set, bits) for other in others)
    assert EXCHNET.value("ADSH", "NABirds", 24) is None
    assert EXCHNET.value("ExchNet", "CUB-200-2011", 16) is None
    assert EXCHNET.beside("VegFru").value("ExchNet", "VegFru", 48) == EXCHNET.value("ExchNet", "VegFru", 48)
    assert EXCHNET.label("NABirds") == "published, NABirds mAP@all, ResNet50"
    assert "ECCV 2020" in EXCHNET.source


def test_no_other_file_of_the_package_holds_a_published_row():
    rows = {
        numbers
        for table in (TABLE1, TABLE2, TABLE3, EXCHNET)
        for found in table.rows.values()
        for numbers in found.values()
    }
    patterns = [re.compile(r"\D+0?".join(rf"\.{f'{x:.4f}'[2:].rstrip('0')}0?" for x in numbers)) for numbers in rows]
    percent = [re.compile(r"\D+".join(f"{100 * x:.2f}".replace(".", r"\.") for x in row)) for row in rows]
    own = Path(published.__file__)
    assert all(pattern.search(own.read_text()) for pattern in patterns)  # the search does find them
    for path in Path(cscelab.__file__).parent.rglob("*.py"):
        if path != own:
            text = path.read_text()
            assert not [p.pattern for p in (*patterns, *percent) if p.search(text)], path
