"""The command line: what is allowed, what wins, and one line for what is not."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys

import pytest
from tests.serving.processes import ROOT, environment

from farthing_server import model_files, options, profile
from farthing_server.errors import ModelError, OptionError

DEFAULT_EMULATED = options.Options(
    name="emulated",
    variant="default",
    precision="Float32",
    model=None,
    profile=profile.DEFAULT,
    host="127.0.0.1",
    port=8080,
    maximum_batch_size=16,
    maximum_queued_items=1024,
    slo_s=0.3,
    threads=options.default_threads(),
    connection_age_s=20.0,
    drain_delay_s=1.0,
    drain_s=20.0,
    access_log=False,
    vllm_names=False,
)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing_server", *arguments],
        capture_output=True,
        text=True,
        env=environment(**variables),
        timeout=60,
        check=False,
    )


def test_nothing_but_emulate_is_needed_to_try_it() -> None:
    assert options.parse(["--emulate"], {}) == DEFAULT_EMULATED


def test_the_environment_fills_what_the_command_line_leaves_open() -> None:
    given = {
        "FARTHING_MODEL_NAME": "chat",
        "FARTHING_MODEL_URI": "hf://acme/chat",
        "FARTHING_PRECISION": "Int8",
        "FARTHING_SLO_MILLISECONDS": "1500",
        "FARTHING_VARIANT": "int8",
        "FARTHING_PROFILE": '{"maximumBatchSize": 4, "batches": [{"size": 1, "milliseconds": "9.5"}]}',
    }
    chosen = options.parse(["--emulate", "--name", "mine", "--port", "9000"], given)
    assert (chosen.name, chosen.variant, chosen.precision) == ("mine", "int8", "Int8")
    assert (chosen.slo_s, chosen.port, chosen.maximum_batch_size) == (1.5, 9000, 4)
    assert chosen.profile == profile.Profile(
        maximum_batch_size=4, points=((1, 0.0095),), startup_s=0.0
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    names = ["MODEL_NAME", "PRECISION", "SLO_MILLISECONDS", "VARIANT", "PROFILE"]
    empty = {f"FARTHING_{name}": "" for name in names}
    assert options.parse(["--emulate"], empty) == DEFAULT_EMULATED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--name is missing; give it or set FARTHING_MODEL_NAME"),
        (["--name", "m"], "--model is missing; give a folder or set FARTHING_MODEL_URI"),
        (
            ["--name", "-bad-", "--emulate"],
            "argument --name: expected one argument; --help shows every option",
        ),
        (
            ["--name", "a/b", "--emulate"],
            '--name: "a/b" is not allowed; 1 to 63 letters, digits, \'.\', \'_\' and \'-\', '
            "ends are letters or digits",
        ),
        (
            ["--emulate", "--port", "http"],
            '--port: "http" is not allowed; a whole number from 0 to 65535',
        ),
        (
            ["--emulate", "--slo-milliseconds", "0"],
            '--slo-milliseconds: "0" is not allowed; a number from 1 to 600000',
        ),
        (
            ["--emulate", "--max-batch-size", "17"],
            '--max-batch-size: "17" is not allowed; a whole number from 1 to 16',
        ),
        (
            ["--name", "m", "--model", "/", "--precision", "Float64"],
            '--precision: "Float64" is not allowed; Float32 or BFloat16',
        ),
        (
            ["--name", "m", "--model", "hf://acme/m"],
            '--model: "hf://acme/m" is not allowed; a folder with config.json and '
            "*.safetensors, or image:///path in the image",
        ),
        (
            ["--name", "m", "--model", "image:///models/../etc"],
            '--model: "image:///models/../etc" is not allowed; a folder with config.json and '
            "*.safetensors, or image:///path in the image",
        ),
        (
            ["--name", "m", "--model", "image:///nothing/here"],
            '--model: "image:///nothing/here" is not allowed; a folder with config.json and '
            "*.safetensors, or image:///path in the image (/nothing/here is not a folder)",
        ),
        (
            ["--emulate", "--drain-seconds", "5", "--drain-delay-seconds", "5"],
            "--drain-delay-seconds: 5 is not allowed; less than --drain-seconds, 5",
        ),
        (["--emulate", "--threads", "2"], "--threads is not allowed with --emulate: nothing is computed"),
        (["--name", "m", "--metrics-style", "vllm"], "--metrics-style is only allowed with --emulate"),
        (["--emulate", "--metrics-style", "x"], '--metrics-style: "x" is not allowed; farthing or vllm'),
        (["--emulate", "--profile", "{"], "--profile: not JSON (unexpected end of data: line 1 column 2 (char 1))"),
        (
            ["--emulate", "--profile", "[]"],
            "--profile: a JSON object with maximumBatchSize, batches and startupSeconds",
        ),
        (
            ["--emulate", "--profile", '{"x": 1}'],
            "--profile: unknown field x; allowed are batches, maximumBatchSize, startupSeconds",
        ),
        (["--emulate", "--profile", "{}"], "--profile: batches is a list of 1 to 256 points"),
        (
            ["--emulate", "--profile", '{"batches": [{"size": 0, "milliseconds": 1}]}'],
            "--profile: batches[0].size: 0 is not allowed; a whole number from 1 to 4096",
        ),
        (
            ["--emulate", "--profile", '{"batches": [{"size": 1, "milliseconds": "soon"}]}'],
            "--profile: batches[0].milliseconds: 'soon' is not allowed; a number from 0 to 600000",
        ),
        (["--emulate", "--prot", "1"], "unrecognized arguments: --prot 1; --help shows every option"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named_with_what_is(arguments: list[str], message: str) -> None:
    with pytest.raises(OptionError) as refused:
        options.parse(arguments, {})
    assert str(refused.value) == message


def test_a_variable_that_is_not_allowed_is_named_with_its_option() -> None:
    with pytest.raises(OptionError) as refused:
        options.parse(["--emulate"], {"FARTHING_SLO_MILLISECONDS": "fast"})
    assert str(refused.value) == (
        '--slo-milliseconds (from FARTHING_SLO_MILLISECONDS): "fast" is not allowed; '
        "a number from 1 to 600000"
    )


def test_refused_input_is_one_line_and_exit_code_2() -> None:
    result = run("--emulate", "--port", "70000")
    assert (result.returncode, result.stdout, result.stderr) == (
        2,
        "",
        'farthing_server: --port: "70000" is not allowed; a whole number from 0 to 65535\n',
    )


def test_an_address_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("--emulate", "--port", port)
    assert result.returncode == 2
    assert result.stderr == (
        f"farthing_server: --host 127.0.0.1 --port {port}: cannot listen there: "
        "Address already in use\n"
    )


def test_help_shows_every_option_and_examples() -> None:
    result = run("--help")
    assert result.returncode == 0
    for word in ("--slo-milliseconds", "--drain-seconds", "examples:", "FARTHING_IMAGE_ROOT"):
        assert word in result.stdout


def test_the_image_root_goes_before_the_path(tmp_path: pathlib.Path) -> None:
    (tmp_path / "models/m").mkdir(parents=True)
    chosen = options.parse(
        ["--name", "m", "--model", "image:///models/m"], {"FARTHING_IMAGE_ROOT": str(tmp_path)}
    )
    assert chosen.model == tmp_path / "models/m"


BERT = (
    '{"architectures": ["BertModel"], "hidden_size": 4, "intermediate_size": 8, '
    '"num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": 16, '
    '"type_vocab_size": 2, "vocab_size": 9}'
)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "{folder}/config.json cannot be read: No such file or directory"),
        ({"config.json": "["}, "{folder}/config.json is not JSON: unexpected end of data: "
         "line 1 column 2 (char 1)"),
        (
            {"config.json": '{"architectures": ["LlamaForCausalLM"]}'},
            '{folder}/config.json: architecture "LlamaForCausalLM" is not served; BertModel is',
        ),
        (
            {"config.json": BERT.replace('"hidden_size": 4', '"hidden_size": "4"')},
            "{folder}/config.json: hidden_size: '4' is not allowed; a whole number of 1 or more",
        ),
        (
            {"config.json": BERT},
            "{folder}/tokenizer.json is missing: text cannot be split into tokens without it",
        ),
        (
            {"config.json": BERT, "tokenizer.json": "{}"},
            "{folder} has no *.safetensors",
        ),
        (
            {"config.json": BERT, "tokenizer.json": "{}", "pytorch_model.bin": "x"},
            "{folder} has pytorch_model.bin but no *.safetensors: pickle files can run code when "
            "they are read and are never loaded; convert the weights to safetensors",
        ),
        (
            {
                "config.json": BERT,
                "tokenizer.json": "{}",
                "1_Pooling/config.json": '{"pooling_mode_cls_token": true}',
            },
            "{folder}/1_Pooling/config.json: pooling by pooling_mode_cls_token is not served; "
            "by mean_tokens is",
        ),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_served_says_why(
    tmp_path: pathlib.Path, files: dict[str, str], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelError) as refused:
        model_files.read(tmp_path)
    assert str(refused.value) == message.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("size", "milliseconds"), [(1, 10.0), (2, 15.0), (3, 20.0), (4, 21.0), (13, 30.0), (23, 40.0)]
)
def test_between_and_beyond_its_points_a_profile_is_a_straight_line(
    size: int, milliseconds: float
) -> None:
    known = profile.parse(
        '{"maximumBatchSize": 32, "batches": [{"size": 1, "milliseconds": 10}, '
        '{"size": 3, "milliseconds": "20"}, {"size": 13, "milliseconds": "30"}]}'
    )
    assert known.batch_s(size) * 1e3 == pytest.approx(milliseconds)


def test_the_images_are_built_with_what_is_there_from_the_repositorys_root() -> None:
    result = subprocess.run(
        [
            sys.executable,
            "scripts/images.py",
            "--tool",
            "buildah",
            "--print",
            "--",
            "--network=host",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(TORCH_INDEX_URL="http://index.example/cpu"),
        check=True,
    )
    assert result.stdout.splitlines() == [
        f"buildah build --file {ROOT}/operator/Dockerfile --tag farthing/operator:0.1.0 "
        f"--network=host {ROOT}",
        f"buildah build --file {ROOT}/inference_image/Dockerfile.cpu --tag farthing/server:0.1.0 "
        f"--build-arg TORCH_INDEX_URL=http://index.example/cpu --network=host {ROOT}",
        f"buildah build --file {ROOT}/inference_image/Dockerfile.emulated "
        f"--tag farthing/emulated:0.1.0 --network=host {ROOT}",
    ]


def test_without_a_tool_the_image_build_says_what_to_install(tmp_path: pathlib.Path) -> None:
    result = subprocess.run(
        [sys.executable, "scripts/images.py"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        check=False,
    )
    assert (result.returncode, result.stderr) == (
        1,
        "images: none of docker, podman, buildah is there; install one and try again\n",
    )
