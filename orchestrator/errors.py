"""Every exception this package raises, in one family.

OrchestratorError
├── MachineError                    a family: the peer's machine gives no answer, is not ComfyUI, died
├── AnswerError                     a family: this answer is too large, refused, put off, or a file is missing
│   └── ResultError                 a result arrived that cannot be used
│       └── ResultGoneError         the peer lists it and does not give it
├── JobError                        a family: this job was refused, raised, ran out of memory
│   └── UnsupportedTypeError        a link type that cannot travel
├── MasterError                     a family: the journal, or the disk of this computer
│   ├── StoreError                  the journal on disk cannot be read or written
│   └── LocalDiskError              a result cannot be written on this computer: no fault of the peer's
├── WorkflowError (ValueError)      a workflow or prompt is malformed; says where
│   ├── UnknownNodeError            it holds nodes whose class nobody told us about
│   └── ParameterError              a change names no parameter, several, or a value out of bounds
├── ConfigError (ValueError)        a peer's address, a setting or a request body is wrong
├── NotFoundError (LookupError)     no peer or job of that id
├── IllegalTransitionError          a job was asked to move where its state does not allow
├── NoEligiblePeerError (ValueError)  no peer can run the job; holds the reason for each
├── PeerError                       something between us and one peer
│   ├── PeerUnreachableError (MachineError)  refused, unresolved, or cut: nobody knows what it did
│   │   └── PeerTimeoutError        no answer in time
│   ├── PeerAuthError (MachineError)  the peer, or a proxy before it, wants a key
│   ├── PeerProtocolError (MachineError)  an answer that is not ComfyUI's
│   │   └── PeerUnfitError          it answers like one, and cannot be a peer
│   ├── PeerUnwellError (MachineError)  the question how it is was answered with an HTTP error
│   ├── JobLostError (MachineError)  the peer no longer knows the job
│   │   └── PeerDiedError           it went away, or was started again, while it ran the job
│   ├── PeerRefusedError (AnswerError)  HTTP 4xx/5xx with a reason in words
│   │   ├── PeerBusyError           it, or a proxy before it, wants to be asked less
│   │   └── BodyTooLargeError       what was sent is more than it, or a proxy before it, takes
│   ├── AnswerTooLargeError (AnswerError)  more than is taken, or it took too long to come
│   ├── PromptRefusedError (JobError)  POST /prompt answered 400: holds ComfyUI's own node errors
│   ├── PeerExecutionError (JobError)  a node raised while the peer ran it: holds ComfyUI's own error
│   │   ├── PeerOutOfMemoryError    its memory was too small for it
│   │   ├── PeerDiskFullError       it could not write what the job made
│   │   ├── PeerBrokenError         its installation, its driver or a file there is broken
│   │   ├── PeerNotPermittedError   it may not use what the job needs
│   │   └── GraphExecutionError     any machine would raise it
│   └── PeerInterruptedError (JobError)  somebody interrupted the job on the peer
├── TakenBackError                  the peer had not started the job, and another one can
├── OvertakenError                  another copy of the job was done before
├── JobSetAsideError                several peers went away while they ran the job
└── JobCancelledError               the user, or shutdown, ended the job

The machine's family alone feeds health, ejection and the hold of the queue in an outage. After an answer's,
another peer may do better; the same one is not asked for the same again, and what its history says succeeded
is not run again for it. A job's speaks against a peer once another one did better. The master's hold the
line, and end no job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class OrchestratorError(Exception):
    """The message is one or two sentences for a user: what happened, where, what to do next.
    ``code`` is the machine's word for it, used in JSON answers."""

    code = "error"


class MachineError(OrchestratorError):
    """The peer's machine failed us. The only family that feeds health, ejection and the hold in an outage."""

    code = "machine"


class AnswerError(OrchestratorError):
    """One answer cannot be had, of a peer that is well otherwise."""

    code = "answer"


class JobError(OrchestratorError):
    """The job failed there, and may do so everywhere."""

    code = "job"


class MasterError(OrchestratorError):
    """The journal, or the disk of this computer: no fault of a peer's or a job's."""

    code = "master"


class WorkflowError(OrchestratorError, ValueError):
    """A workflow or prompt is malformed."""

    code = "bad_workflow"


class UnknownNodeError(WorkflowError):
    """Active nodes have classes that are in no definition: ``nodes``, as ``(node id, class, title)``."""

    code = "unknown_node"

    def __init__(self, message: str, nodes: Sequence[tuple[str, str, str]] = ()) -> None:
        super().__init__(message)
        self.nodes = tuple(nodes)


class ParameterError(WorkflowError):
    """A change names no parameter, several of them, or a value that is not allowed.

    ``candidates`` are the addresses or values that would have been right.
    """

    code = "bad_parameter"

    def __init__(self, message: str, candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class ConfigError(OrchestratorError, ValueError):
    """A peer's address, a setting or a request body is wrong. ``field``: which part, where that is clear."""

    code = "bad_request"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(OrchestratorError, LookupError):
    """There is no peer or job of that id."""

    code = "not_found"


class IllegalTransitionError(OrchestratorError):
    """A job was asked to move where its state does not allow."""

    code = "illegal_transition"


class NoEligiblePeerError(OrchestratorError, ValueError):
    """No peer can run the job. ``reasons``: a sentence for each peer. ``permanent``: waiting cannot help."""

    code = "no_eligible_peer"

    def __init__(
        self, message: str, reasons: Mapping[str, str] | None = None, *, permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.reasons = dict(reasons or {})
        self.permanent = permanent


class StoreError(MasterError):
    """The journal on disk cannot be read or written.

    ``may_pass``: the disk is full, say. The same can be written later, as it is.
    """

    code = "store"

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class PeerError(OrchestratorError):
    """Something between us and one peer."""

    code = "peer"


class PeerUnreachableError(PeerError, MachineError):
    """The connection was refused, could not be made, or was cut.

    ``is_closed``: the machine is there and nothing listens; its ComfyUI has ended.
    """

    code = "unreachable"

    def __init__(self, message: str, *, is_closed: bool = False) -> None:
        super().__init__(message)
        self.is_closed = is_closed


class PeerTimeoutError(PeerUnreachableError):
    """The peer did not answer in time."""

    code = "timeout"


class PeerAuthError(PeerError, MachineError):
    """The peer, or a proxy in front of it, asks for a key; ``status`` is the number of its answer."""

    code = "needs_key"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PeerProtocolError(PeerError, MachineError):
    """The answer is not one ComfyUI gives."""

    code = "not_comfyui"


class PeerUnfitError(PeerProtocolError):
    """No job can be done there. ``prompt_id``: the one under which it took a prompt all the same."""

    code = "unfit"
    prompt_id = ""


class PeerUnwellError(PeerError, MachineError):
    """The peer, or a proxy in front of it, answered the question how it is with an HTTP error."""

    code = "unwell"


class PeerRefusedError(PeerError, AnswerError):
    """The peer answered with an HTTP error; ``status`` is its number."""

    code = "refused"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PeerBusyError(PeerRefusedError):
    """The peer, or a proxy in front of it, takes no more requests for a while (429, or 503 with a time)."""

    code = "busy"


class BodyTooLargeError(PeerRefusedError):
    """What was sent is larger than the peer, or a proxy in front of it, takes (413).

    ``size_bytes``: how large it was.
    """

    code = "body_too_large"

    def __init__(self, message: str, size_bytes: int) -> None:
        super().__init__(message, 413)
        self.size_bytes = size_bytes


class AnswerTooLargeError(PeerError, AnswerError):
    """An answer has more bytes than are taken of it, or began and did not end in the time it has."""

    code = "answer_too_large"


class PromptRefusedError(PeerError, JobError):
    """POST /prompt was answered 400.

    ``error`` and ``node_errors`` are ComfyUI's own, as it sent them.
    """

    code = "prompt_refused"

    def __init__(
        self,
        message: str,
        error: Mapping[str, Any] | None = None,
        node_errors: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.error = dict(error or {})
        self.node_errors = dict(node_errors or {})


class PeerExecutionError(PeerError, JobError):
    """A node raised while the peer ran it.

    ``details`` is the peer's ``execution_error`` message: node_id, node_type, exception_message,
    exception_type, traceback.
    """

    code = "execution_error"

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})


class PeerOutOfMemoryError(PeerExecutionError):
    """A node needed more memory than the peer had. ``is_system``: the machine's own, not its device's."""

    code = "out_of_memory"

    def __init__(
        self, message: str, details: Mapping[str, Any] | None = None, *, is_system: bool = False
    ) -> None:
        super().__init__(message, details)
        self.is_system = is_system


class PeerDiskFullError(PeerExecutionError):
    """A node could not write its files: the peer's disk has no room."""

    code = "disk_full"


class PeerBrokenError(PeerExecutionError):
    """A node raised what a broken machine says: a module, a driver, a library or a file fails there."""

    code = "peer_broken"


class PeerNotPermittedError(PeerExecutionError):
    """The peer may not use something that the job needs, such as a model. It is fit for other jobs."""

    code = "not_permitted"


class GraphExecutionError(PeerExecutionError):
    """A node raised what it would raise on every machine: the graph is wrong."""

    code = "graph_error"


class PeerInterruptedError(PeerError, JobError):
    """Somebody interrupted the job on the peer."""

    code = "interrupted_on_peer"


class JobLostError(PeerError, MachineError):
    """The peer no longer knows the job, as its queue was cleared, say; or ``went_away`` as a whole."""

    code = "lost"

    def __init__(self, message: str, *, went_away: bool = False) -> None:
        super().__init__(message)
        self.went_away = went_away


class PeerDiedError(JobLostError):
    """The peer went away, or was started again, while it ran the job."""

    code = "peer_died"


class TakenBackError(OrchestratorError):
    """The peer had not started the job, and another one is to run it."""

    code = "taken_back"


class OvertakenError(OrchestratorError):
    """Another copy of the job was done before."""

    code = "overtaken"


class JobSetAsideError(OrchestratorError):
    """Several peers went away while they ran the job: a person has to look at it."""

    code = "set_aside"


class ResultError(AnswerError):
    """A result arrived that cannot be used."""

    code = "bad_result"


class ResultGoneError(ResultError):
    """The peer lists a result and does not give it: it is gone, or where no route shows it, or too large.

    ``is_hidden``: the peer says that it does not show this place.
    """

    code = "result_gone"

    def __init__(self, message: str, *, is_hidden: bool = False) -> None:
        super().__init__(message)
        self.is_hidden = is_hidden


class LocalDiskError(MasterError):
    """A result cannot be written on this computer. The peer still has it."""

    code = "local_disk"


class UnsupportedTypeError(JobError):
    """A value of this type cannot be brought back through stock nodes."""

    code = "unsupported_type"


class JobCancelledError(OrchestratorError):
    """The job was ended by the user or by shutdown."""

    code = "cancelled"
