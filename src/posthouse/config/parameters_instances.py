"""Several mail systems on one host: what postmulti(1) and postfix(1) read. Source: MULTI_INSTANCE_README."""

from typing import Final

from posthouse.config.parameter import Boolean, NameList, String

MULTI_INSTANCE_DIRECTORIES: Final = NameList(
    "multi_instance_directories", "", doc="Configuration directories of the other mail systems that this one manages."
)
MULTI_INSTANCE_WRAPPER: Final = String(
    "multi_instance_wrapper",
    "",
    doc='Command that postfix(1) hands its command to: "${command_directory}/postmulti -p --".',
)
MULTI_INSTANCE_GROUP: Final = String("multi_instance_group", "", doc="The group of this instance, for postmulti -g.")
MULTI_INSTANCE_ENABLE: Final = Boolean(
    "multi_instance_enable", "no", doc="Start and stop this instance together with the others."
)
POSTMULTI_START_COMMANDS: Final = NameList(
    "postmulti_start_commands",
    "start",
    doc='Commands of postfix(1) for which a disabled instance gets "check" instead.',
)
POSTMULTI_STOP_COMMANDS: Final = NameList(
    "postmulti_stop_commands",
    "stop abort drain quick-stop",
    doc="Commands of postfix(1) that go to the last instance first, and to enabled ones alone.",
)
POSTMULTI_CONTROL_COMMANDS: Final = NameList(
    "postmulti_control_commands", "reload flush", doc="Commands of postfix(1) that go to enabled instances alone."
)

PARAMETERS: Final = (
    MULTI_INSTANCE_DIRECTORIES,
    MULTI_INSTANCE_WRAPPER,
    MULTI_INSTANCE_GROUP,
    MULTI_INSTANCE_ENABLE,
    POSTMULTI_START_COMMANDS,
    POSTMULTI_STOP_COMMANDS,
    POSTMULTI_CONTROL_COMMANDS,
)
