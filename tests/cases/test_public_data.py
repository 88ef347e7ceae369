"""Public datasets as they are published: made by our own code, with the headers, cells and encodings of the files."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.columns import INDEX
from flows.dialects import CIC2017, TOT
from models.bundle import save_bundle
from sensor.cli.evaluate import EvaluationProtocol, evaluate
from sensor.cli.explore import explore
from sensor.errors import InputError
from tests.support.evaluations import as_csv, forests, table
from tests.support.flow_files import lines, many_shapes, rewritten, written
from training.datasets.collection import read_dataset
from training.datasets.table import FlowTable
from training.errors import DatasetError

for package in ("polars", "sklearn", "scipy", "matplotlib", "jinja2"):
    pytest.importorskip(package)

Rows = list[list[str]]
# Headers as published: CIC-IoT-2023's two, UNSW-NB15's of the training and test sets and of its list of features, and
# the beginning of NTLFlowLyzer's.
IOT_OF_46 = (
    "flow_duration,Header_Length,Protocol Type,Duration,Rate,Srate,Drate,fin_flag_number,syn_flag_number,"
    "rst_flag_number,psh_flag_number,ack_flag_number,ece_flag_number,cwr_flag_number,ack_count,syn_count,fin_count,"
    "urg_count,rst_count,HTTP,HTTPS,DNS,Telnet,SMTP,SSH,IRC,TCP,UDP,DHCP,ARP,ICMP,IPv,LLC,Tot sum,Min,Max,AVG,Std,"
    "Tot size,IAT,Number,Magnitue,Radius,Covariance,Variance,Weight,label"
)
IOT_OF_39 = (
    "Header_Length,Protocol Type,Time_To_Live,Rate,fin_flag_number,syn_flag_number,rst_flag_number,psh_flag_number,"
    "ack_flag_number,ece_flag_number,cwr_flag_number,ack_count,syn_count,fin_count,rst_count,HTTP,HTTPS,DNS,Telnet,SMTP,"
    "SSH,IRC,TCP,UDP,DHCP,ARP,ICMP,IGMP,IPv,LLC,Tot sum,Min,Max,AVG,Std,Tot size,IAT,Number,Variance,Label"
)
UNSW_SETS = (
    "id,dur,proto,service,state,spkts,dpkts,sbytes,dbytes,rate,sttl,dttl,sload,dload,sloss,dloss,sinpkt,dinpkt,sjit,djit,"
    "swin,stcpb,dtcpb,dwin,tcprtt,synack,ackdat,smean,dmean,trans_depth,response_body_len,ct_srv_src,ct_state_ttl,"
    "ct_dst_ltm,ct_src_dport_ltm,ct_dst_sport_ltm,ct_dst_src_ltm,is_ftp_login,ct_ftp_cmd,ct_flw_http_mthd,ct_src_ltm,"
    "ct_srv_dst,is_sm_ips_ports,attack_cat,label"
)
UNSW_FEATURES = (
    "srcip,sport,dstip,dsport,proto,state,dur,sbytes,dbytes,sttl,dttl,sloss,dloss,service,Sload,Dload,Spkts,Dpkts,swin,"
    "dwin,stcpb,dtcpb,smeansz,dmeansz,trans_depth,res_bdy_len,Sjit,Djit,Stime,Ltime,Sintpkt,Dintpkt,tcprtt,synack,ackdat,"
    "is_sm_ips_ports,ct_state_ttl,ct_flw_http_mthd,is_ftp_login,ct_ftp_cmd,ct_srv_src,ct_srv_dst,ct_dst_ltm,ct_src_ltm,"
    "ct_src_dport_ltm,ct_dst_sport_ltm,ct_dst_src_ltm,attack_cat,Label"
)
NTLFLOWLYZER = (
    "flow_id,timestamp,src_ip,src_port,dst_ip,dst_port,protocol,duration,packets_count,fwd_packets_count,"
    "bwd_packets_count,total_payload_bytes,fwd_total_payload_bytes,bwd_total_payload_bytes,payload_bytes_max,"
    "payload_bytes_min,payload_bytes_mean,payload_bytes_std,payload_bytes_variance,fwd_payload_bytes_max,label"
)
RANDOM_RECIPE = Path(__file__).resolve().parents[2] / "configs" / "training" / "cic2017-random.yaml"
OF_2017 = ("Flow ID", "Source IP", "Source Port", "Destination IP", "Protocol", "Timestamp")
OF_2018 = ("Flow ID", "Src IP", "Src Port", "Dst IP")
NATIVE_IDENTITY = ("flow_id", "src_address", "src_port", "dst_address", "vlan", "start", "end", "end_reason")


def without(rows: Rows, names: tuple[str, ...]) -> Rows:
    """The table without these columns."""
    kept = [i for i, name in enumerate(rows[0]) if name.strip() not in names]
    return [[row[i] for i in kept] for row in rows]


def labelled(rows: Rows, attack: str, normal: str = "BENIGN") -> Rows:
    """Every other flow an attack."""
    return [rows[0], *([*row[:-1], attack if i % 2 else normal] for i, row in enumerate(rows[1:]))]


@pytest.fixture
def machine_learning_cve(tmp_path: Path) -> Path:
    """79 columns, the doubled header length among them: no addresses, no times, no protocol."""
    rows = labelled(without(lines(written(tmp_path, many_shapes(), CIC2017)), OF_2017), "PortScan")
    assert len(rows[0]) == 79
    return rewritten(tmp_path / "Friday-PortScan.pcap_ISCX.csv", rows)


@pytest.fixture
def cse_cic_ids_2018(tmp_path: Path) -> Path:
    """80 columns: no addresses, times of twelve hours without their half, the header once more inside."""
    rows = labelled(without(lines(written(tmp_path, many_shapes(), TOT)), OF_2018), "Infilteration", "Benign")
    assert len(rows[0]) == 80
    at = rows[0].index("Timestamp")
    rows = [[*row[:at], re.sub(" [AP]M$", "", row[at]), *row[at + 1 :]] for row in rows]
    return rewritten(tmp_path / "02-28-2018.csv", [*rows[:20], rows[0], *rows[20:]])


def read(path: Path) -> tuple[FlowTable, list[str]]:
    told: list[str] = []
    return read_dataset(path, told.append), told


def test_machine_learning_cve_is_read_without_addresses_times_and_protocols(
    machine_learning_cve: Path, tmp_path: Path
) -> None:
    """Its windows tell TCP, its ports UDP: the program writes -1 for the window of all that is not TCP."""
    found, told = read(machine_learning_cve)
    whole, _ = read(tmp_path / "cic2017.csv")
    protocol = INDEX["protocol"]
    assert sorted(found.values[:, protocol]) == sorted(whole.values[:, protocol])
    assert (found.has_hosts, found.has_times) == (False, False)
    assert set(found.day) == {"Friday-PortScan.pcap_ISCX.csv"}
    assert sum("no source addresses and no start times" in line for line in told) == 1


def test_no_flow_comes_after_another_where_nobody_knows_whose_they_are(machine_learning_cve: Path) -> None:
    found, _ = read(machine_learning_cve)
    assert len(np.unique(found.host, axis=0)) == len(found)


def test_cse_cic_ids_2018_is_read_with_its_header_inside_left_out_and_told(cse_cic_ids_2018: Path) -> None:
    """A row of names is no flow: it is counted and named, and the others are all there."""
    found, told = read(cse_cic_ids_2018)
    assert found.repairs["header rows inside the table, left out"] == 1
    assert any(line.endswith("1 header rows inside the table, left out") for line in told)
    assert any("has no source addresses: sequences" in line for line in told)
    assert found.has_times
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in found.day)


def test_a_file_that_has_lost_only_its_sources_is_still_refused(tmp_path: Path) -> None:
    """Destinations show that the file was not published without addresses: sequences would be lost unseen."""
    rows = without(lines(written(tmp_path, many_shapes(), TOT)), ("Src IP",))
    with pytest.raises(Exception, match='column "Src IP": the header lacks this column'):
        read(rewritten(tmp_path / "cut.csv", rows))


@pytest.mark.parametrize("case", ["machine_learning_cve", "cse_cic_ids_2018"])
def test_explore_says_what_cannot_be_told(
    case: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explore(request.getfixturevalue(case), tmp_path / "x.html", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["findings"][1].startswith("It has no source addresses")
    assert document["findings"][1] in (tmp_path / "x.html").read_text(encoding="utf-8").replace("&#39;", "'")


def without_hosts(flows: FlowTable, path: Path) -> Path:
    """The flows as a file with neither addresses nor times, all else as it was."""
    return rewritten(path, without(lines(as_csv(flows, path)), NATIVE_IDENTITY))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cases") / "bundle"
    save_bundle(directory, forests(table(scans=150, floods=120)), {})
    return directory


def test_evaluate_judges_flows_by_their_own_columns_and_says_what_is_left_out(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its members keep no state: whose flow it is changes nothing, so the figures are those with addresses."""
    flows = table(seed=8)
    evaluate(bundle, as_csv(flows, tmp_path / "whole.csv"), as_json=True)
    whole = json.loads(capsys.readouterr().out)
    evaluate(bundle, without_hosts(flows, tmp_path / "cut.csv"), as_json=True, output=tmp_path / "x.html")
    content = json.loads(capsys.readouterr().out)
    assert content["members"]["hybrid"]["rates"] == whole["members"]["hybrid"]["rates"]
    assert content["notes"][0].startswith("the dataset has no source addresses and no start times")
    assert (content["rehomed"], content["deletion"], content["dataset"]["days"]) == (None, None, None)
    assert (tmp_path / "x.html").stat().st_size > 0


@pytest.mark.parametrize("bundle", ["default", "cic2017"])
def test_a_shipped_bundle_says_in_one_line_which_public_files_it_can_judge(
    machine_learning_cve: Path, capsys: pytest.CaptureFixture[str], bundle: str
) -> None:
    """It was fitted on columns that only the corrected sets have; a guess at them would be no evaluation."""
    with pytest.raises(InputError, match=r"fwd_rst_flags.*of public files it can judge the corrected CIC-IDS") as error:
        evaluate(Path(bundle), machine_learning_cve)
    assert error.value.exit_code == 6
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_a_day_cannot_be_chosen_from_flows_without_times(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no start times"):
        evaluate(bundle, without_hosts(table(seed=8), tmp_path / "cut.csv"), day=["2017-07-04"])


@pytest.mark.train
@pytest.mark.takes(30)
def test_a_model_is_fitted_judged_and_left_one_family_short_without_hosts_and_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random split and a split by families need neither; days do, and the recipe of days says so."""
    pytest.importorskip("tensorflow")
    from training.train import train

    path = without_hosts(table(scans=300, floods=300, seed=8), tmp_path / "cut.csv")
    train(small(RANDOM_RECIPE, path, tmp_path), tmp_path, tmp_path / "bundle", lambda _: None)
    for protocol in (EvaluationProtocol.RANDOM, EvaluationProtocol.LEAVE_ONE_OUT):
        page = tmp_path / "x.html"
        evaluate(tmp_path / "bundle", path, protocol=protocol, as_json=True, output=page)
        content = json.loads(capsys.readouterr().out)
        assert content["rehomed"] is None
        assert any("fitted on flows with no source addresses" in one for one in content["bundle"]["warnings"])
    with pytest.raises(Exception, match="has no start times, the recipe's days cannot be told apart"):
        train(small(RANDOM_RECIPE.with_name("cic2017.yaml"), path, tmp_path), tmp_path, tmp_path / "x", lambda _: None)


def small(shipped: Path, dataset: Path, directory: Path) -> Path:
    """A shipped recipe with little to fit, on another file."""
    given: dict[str, Any] = {"epochs": 1, "units": 4, "trees": 5, "sample": 32, "smallest_family": 10}
    given |= {"file": dataset.name, "sha256": hashlib.sha256(dataset.read_bytes()).hexdigest()}
    text = shipped.read_text(encoding="utf-8")
    for key, value in given.items():
        text, found = re.subn(rf"(?m)^(\s*){key}:.*$", rf"\g<1>{key}: {value}", text)
        assert found
    path = directory / shipped.name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_unknown_label_is_told_with_the_vocabulary(tmp_path: Path) -> None:
    rows = labelled(lines(written(tmp_path, many_shapes(), TOT)), "Mirai")
    with pytest.raises(DatasetError, match="unknown label 'Mirai'; known are benign, ftp-patator") as error:
        read(rewritten(tmp_path / "own.csv", rows))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("flow_duration,Header_Length,Protocol Type,Rate,Srate,IAT,Magnitue,label", "is CIC-IoT-2023 .*are missing"),
        (IOT_OF_46, "is CIC-IoT-2023 .*are missing"),
        (IOT_OF_39, "is CIC-IoT-2023 .*are missing"),
        (UNSW_SETS, r"is UNSW-NB15 by its header.*are missing"),
        (UNSW_FEATURES, r"is UNSW-NB15 by its header.*are missing"),
        (NTLFLOWLYZER, "is a BCCC set.*are missing"),
        ("id,dur,proto,sbytes,dbytes,sttl,dttl,sload,attack_cat,label", r"is UNSW-NB15 by its header.*are missing"),
        ("flow_id,src_ip,timestamp,packets_count,fwd_packets_count,delta_start,label", "is a BCCC set.*are missing"),
    ],
)
def test_a_public_set_that_is_not_read_is_named_with_what_it_lacks(names: str, words: str, tmp_path: Path) -> None:
    path = rewritten(tmp_path / "other.csv", [names.split(","), ["1"] * len(names.split(","))])
    with pytest.raises(InputError, match=words) as error:
        explore(path, tmp_path / "x.html")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mark", "encoding", "words"),
    [(";", "utf-8", "by semicolons"), ("\t", "utf-8", "by tabs"), (",", "utf-16", "is UTF-16; expected UTF-8")],
)
def test_another_encoding_or_separator_is_named(mark: str, encoding: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), TOT)
    path.write_text(path.read_text(encoding="utf-8").replace(",", mark), encoding=encoding)
    with pytest.raises(InputError, match=words):
        explore(path, tmp_path / "x.html")
