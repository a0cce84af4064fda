import json
import warnings

import pytest
import torch
from toy import BOS, EOS, toy_examples, toy_tokenizer

from peft_lab.rows import Row, read_rows
from peft_lab.tasks import IGNORE, batches, collate, encode, known_tasks, load_task


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture
def own_file(tmp_path):
    return write(tmp_path / "mine.jsonl", [{"text": f"text number {i}"} for i in range(40)])


def test_a_row_is_bos_source_newline_target_eos_and_only_target_and_eos_are_scored():
    tokenizer = toy_tokenizer()
    (example,) = encode([Row("the fox", "sat on", 1)], tokenizer)
    source = tokenizer("the fox\n", add_special_tokens=False)["input_ids"]
    target = tokenizer("sat on", add_special_tokens=False)["input_ids"]
    assert example.input_ids.tolist() == [BOS, *source, *target, EOS]
    assert example.labels.tolist() == [IGNORE] * (1 + len(source)) + [*target, EOS]


def test_without_a_source_there_is_no_newline():
    tokenizer = toy_tokenizer()
    (example,) = encode([Row("", "sat on", 1)], tokenizer)
    target = tokenizer("sat on", add_special_tokens=False)["input_ids"]
    assert example.input_ids.tolist() == [BOS, *target, EOS]
    assert example.labels.tolist() == [IGNORE, *target, EOS]


def test_own_file_splits_80_10_10_without_overlap_and_by_seed(own_file):
    task = load_task(own_file)
    splits = [{row.target for row in split} for split in (task.train, task.validation, task.test)]
    assert [len(split) for split in splits] == [32, 4, 4]
    assert len(set.union(*splits)) == 40
    assert load_task(own_file).test == task.test
    assert load_task(own_file, seed=1).test != task.test
    assert repr(task) == "Task('mine': train 32, validation 4, test 4)"


def test_equal_rows_stay_in_one_split(tmp_path):
    file = write(tmp_path / "twice.jsonl", [{"text": f"text {i % 10}"} for i in range(40)])
    for seed in range(5):
        task = load_task(file, seed=seed)
        splits = [{row.target for row in s} for s in (task.train, task.validation, task.test)]
        assert sum(map(len, splits)) == 10 == len(set.union(*splits))


def test_a_task_folder_has_three_files_and_a_datasheet(tmp_path, monkeypatch):
    folder = tmp_path / "tasks" / "songs"
    folder.mkdir(parents=True)
    for split, count in (("train", 3), ("validation", 2), ("test", 1)):
        write(
            folder / f"{split}.jsonl",
            [{"source": "s", "target": f"{split} {i}"} for i in range(count)],
        )
    (folder / "README.md").write_text("datasheet")
    monkeypatch.setenv("PEFT_LAB_DATA", str(tmp_path))
    assert known_tasks() == ["songs"]
    for name in ("songs", folder):
        task = load_task(name)
        assert (len(task.train), len(task.validation), len(task.test)) == (3, 2, 1)
        assert task.name == "songs" and task.datasheet == folder / "README.md"
    assert task.train[1] == Row("s", "train 1", 2)
    assert load_task("songs", toy_tokenizer()).train[1].target == "train 1"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_all_formats_read_the_same_rows(tmp_path, newline):
    def file(name, text):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", newline).encode())  # as Windows does
        return path

    jsonl = file("a.jsonl", '{"source": "é", "target": "x"}\n\n{"target": "y"}\n')
    table = file("a.csv", 'source,target\né,x\n,"y"\n')
    assert [(r.source, r.target) for r in read_rows(jsonl)] == [("é", "x"), ("", "y")]
    assert [r.line for r in read_rows(jsonl)] == [1, 3]
    assert [(r.source, r.target) for r in read_rows(table)] == [("é", "x"), ("", "y")]
    assert [r.line for r in read_rows(table)] == [2, 3]


def test_txt_is_split_at_blank_lines_or_else_at_every_line(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("one\ntwo\n\n\nthree\n")
    assert read_rows(file) == [Row("", "one\ntwo", 1), Row("", "three", 5)]
    file.write_text("one\ntwo\nthree")
    assert read_rows(file) == [Row("", "one", 1), Row("", "two", 2), Row("", "three", 3)]


def test_a_csv_cell_may_hold_lines_and_errors_still_name_the_right_one(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text\n"one\ntwo"\nthree\n"four"\n')
    assert [(r.target, r.line) for r in read_rows(file)] == [
        ("one\ntwo", 2),
        ("three", 4),
        ("four", 5),
    ]
    file.write_text('source,target\na,"one\ntwo"\nb\n')
    with pytest.raises(ValueError, match=r"a\.csv:4: .*columns"):
        read_rows(file)


def test_a_long_row_is_cut_with_one_warning():
    rows = [Row("", "the fox and the hen " * k, k) for k in (1, 8, 9)]
    with pytest.warns(UserWarning, match=r"2 rows were cut to max_length=20 .*mine:8"):
        examples = encode(rows, toy_tokenizer(), max_length=20, file="mine")
    assert [len(e.input_ids) for e in examples][1:] == [20, 20]
    cut = examples[1]
    assert EOS not in cut.input_ids.tolist()
    assert toy_tokenizer().decode(cut.labels[1:]) == cut.target  # bytes are counted over this text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(rows[:1], toy_tokenizer(), max_length=20)


@pytest.mark.parametrize("side", ["left", "right"])
def test_collate_pads_ids_mask_and_labels_together(side):
    examples = toy_examples(5)
    batch = collate(examples, 0, side)
    longest = max(len(e.input_ids) for e in examples)
    assert {tuple(t.shape) for t in batch.values()} == {(5, longest)}
    for row, example in enumerate(examples):
        real = batch["attention_mask"][row].bool()
        assert real[0 if side == "right" else -1] and real.sum() == len(example.input_ids)
        assert torch.equal(batch["input_ids"][row][real], example.input_ids)
        assert torch.equal(batch["labels"][row][real], example.labels)
        assert (batch["labels"][row][~real] == IGNORE).all()
        assert (batch["input_ids"][row][~real] == 0).all()


def rows_of(stream, count):
    """The examples of so many batches, as lists of their tokens."""
    found = []
    for _ in range(count):
        batch = next(stream)
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            found.append(ids[mask.bool()].tolist())
    return found


def test_four_batches_of_4_hold_what_one_of_16_holds_over_the_end_of_epochs_too():
    examples = toy_examples(18)
    small = rows_of(batches(examples, 4, pad_id=0, seed=7), 16)
    large = rows_of(batches(examples, 16, pad_id=0, seed=7), 4)
    assert small == large


def test_each_epoch_has_every_example_once_in_another_order():
    examples = toy_examples(18)
    stream = rows_of(batches(examples, 6, pad_id=0, seed=7), 6)
    every = sorted(e.input_ids.tolist() for e in examples)
    assert sorted(stream[:18]) == every == sorted(stream[18:])
    assert stream[:18] != stream[18:]
    assert rows_of(batches(examples, 6, pad_id=0), 3) == [e.input_ids.tolist() for e in examples]
    assert stream != rows_of(batches(examples, 6, pad_id=0, seed=8), 6)


@pytest.mark.parametrize("skip", [0, 5, 18, 41])
def test_skip_goes_on_where_another_stream_stopped(skip):
    examples = toy_examples(18)
    whole = rows_of(batches(examples, 1, pad_id=0, seed=7), 60)
    assert rows_of(batches(examples, 3, pad_id=0, seed=7, skip=skip), 4) == whole[skip : skip + 12]


def test_epochs_end_with_a_smaller_batch():
    sizes = [len(b["labels"]) for b in batches(toy_examples(5), 4, pad_id=0, epochs=2)]
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a", "target": "b"}, r'1: .*both "text" and "target"'),
        ({"prompt": "a", "target": "b"}, r'1: .*name "prompt" "source"'),
        ({"target": "b", "Source": "a"}, r'1: .*name "Source" "source"'),
        ({"instruction": "a", "input": "b", "target": "c"}, r'1: .*"instruction"'),
    ],
)
def test_a_given_column_is_never_dropped_silently(tmp_path, record, message):
    file = write(tmp_path / "a.jsonl", [record])
    with pytest.raises(ValueError, match=r"a\.jsonl:" + message):
        read_rows(file)


def test_only_line_ends_split_rows(tmp_path):
    odd = "one\u2028two\x0bthree\x85four"
    for name, text in (("a.csv", f"text\n{odd}\nb\n"), ("a.txt", f"{odd}\r\nb\r\n")):
        (tmp_path / name).write_bytes(text.encode())
        assert [row.target for row in read_rows(tmp_path / name)] == [odd, "b"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "line"),
    [("a\n\n\nb,c\n", 5), ('"a\nb"\n\n"c\nd",e\n', 5), ('a\n\n"b\nc', 4), ('\n\n""\n', 4)],
)
def test_a_csv_error_counts_the_blank_lines_before_it(tmp_path, text, line, newline):
    file = tmp_path / "a.csv"
    file.write_bytes(f"text\n{text}".replace("\n", newline).encode())
    with pytest.raises(ValueError, match=rf"a\.csv:{line}: "):
        read_rows(file)


def test_a_csv_header_names_a_column_once(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("source,target,source\na,b,c\n")
    with pytest.raises(ValueError, match=r'a\.csv:1: .*"source" twice'):
        read_rows(file)


def test_other_columns_go_with_the_row_and_its_example(tmp_path):
    rows = [{"source": "a", "target": f"b{i}", "kind": i} for i in range(3)]
    file = write(tmp_path / "own.jsonl", rows)
    assert [row.fields for row in read_rows(file)] == [{"kind": i} for i in range(3)]
    examples = encode(read_rows(file), toy_tokenizer())
    assert [(e.target, e.fields) for e in examples] == [(f"b{i}", {"kind": i}) for i in range(3)]
    csv = tmp_path / "own.csv"
    csv.write_text("text,kind\nx,1\n", encoding="utf-8")
    assert read_rows(csv)[0].fields == {"kind": "1"}
