"""What applications use of Posthouse: functions and classes, gathered from the packages that define them.

Nothing here opens a network connection or keeps global state.
"""

from posthouse.api.config import (
    CompatLevel,
    Expansion,
    LogicalLine,
    check_setting,
    encode_number,
    expand,
    format_delay,
    logical_lines,
    parse_tcp_ports,
    parse_time,
    split_list,
    split_name_value,
    split_words,
)
from posthouse.api.tables import Maps, Table, inline_rules, open_maps, open_table, served_tables
from posthouse.util.errors import TemporaryError

__all__ = [
    "CompatLevel",
    "Expansion",
    "LogicalLine",
    "Maps",
    "Table",
    "TemporaryError",
    "check_setting",
    "encode_number",
    "expand",
    "format_delay",
    "inline_rules",
    "logical_lines",
    "open_maps",
    "open_table",
    "parse_tcp_ports",
    "parse_time",
    "served_tables",
    "split_list",
    "split_name_value",
    "split_words",
]
