"""The shapes of what the HTTP API takes and gives."""

from __future__ import annotations

from ...core.engine.estimates.knowledge import Origin
from .openapi_types import (
    ANYTHING,
    FLAG,
    MOMENT,
    NUMBER,
    SECONDS,
    TEXT,
    VALUE,
    WHOLE,
    Schema,
    choices,
    fields,
    listed,
    ref,
)

_SETTINGS: dict[str, Schema] = {
    **dict.fromkeys(("fleet_mode", "paused", "this_machine", "peer_nodes", "second_copies"), FLAG),
    "retry_interrupted": FLAG,
    "keep_days": {**WHOLE, "description": "How long finished jobs stay in the journal."},
    "keep_jobs": {**WHOLE, "description": "How many of them at most."},
    "runs_here": {**listed(TEXT), "description": "Node classes that run on the master alone."},
    "runs_on_peers": {**listed(TEXT), "description": "Of the known ones, those that may run on peers."},
    "accepted_hosts": {
        **listed(TEXT),
        "description": "Hosts under which the master's page is opened, besides its own names and addresses.",
    },
}
_PEER_WISHES: dict[str, Schema] = {
    "name": TEXT,
    "url": TEXT,
    "tags": listed(TEXT),
    "enabled": FLAG,
    "draining": FLAG,
    "credentials": {
        "oneOf": [
            fields({"bearer": TEXT}),
            fields({"user": TEXT, "password": TEXT}, optional=("user", "password")),
            fields({"cookie": TEXT}),
            fields({"headers": {"type": "object", "additionalProperties": TEXT}}),
            fields({"header": TEXT, "value": TEXT}, optional=("header",)),
            {"type": "null"},
        ],
        "description": "Sent with every request to the peer; never told again. null takes it away.",
    },
    "tls": {
        **TEXT,
        "description": 'Whom its certificate has to come from: a CA file (PEM), or "sha256:" and its digits.',
    },
    "exclusive": {**FLAG, "description": "Only jobs that name it, or one of its tags."},
    "only_idle": {**FLAG, "description": "Only while nobody else's prompt is there."},
    "hours": {**TEXT, "description": 'When jobs may begin there, like "22:00-07:00"; "": always.'},
    "relay_events": {**FLAG, "description": "Its node packs may tell the page events of their own."},
}
_JOB_WISHES: dict[str, Schema] = {
    "prompt": {**ANYTHING, "description": "The graph in API format."},
    "workflow": {**ANYTHING, "description": "The graph as the page saves it; prompt or workflow is needed."},
    "parameters": {**ANYTHING, "description": 'Changes by address, like {"KSampler.seed": 42}.'},
    "peer": {**TEXT, "description": "Only this one, by name or id."},
    "tags": {**listed(TEXT), "description": "Only peers with all of these."},
    "avoid": {**listed(TEXT), "description": "Not these peers, by name or id."},
    "title": TEXT,
    "priority": {**NUMBER, "description": "Higher goes first; 0 is usual."},
    "targets": {**listed(TEXT), "description": "Run these output nodes only."},
}
_OF_NODE: dict[str, Schema] = {
    "result": {
        **listed({"type": ["string", "integer"]}),
        "description": 'The output whose value is wanted back, like ["8", 0], instead of files.',
    },
    "overrides": {**TEXT, "description": "Changes as a Remote Dispatch node takes them, one a line."},
}
_SEVERAL: dict[str, Schema] = {
    "count": {**WHOLE, "minimum": 1, "maximum": 1000, "description": "How many, each with its own seeds."},
    "variations": {**listed(ANYTHING), "description": "One job for each, laid over parameters."},
    "request_id": {
        **TEXT,
        "description": "Sent again under the same id (or header Idempotency-Key), it is done once.",
    },
    "metadata": {
        **fields({"workflow": ANYTHING, "places": ANYTHING}, optional=("places",)),
        "description": "The graph that the files carry. places: address to [node, index of widgets_values].",
    },
}
SCHEMAS: dict[str, Schema] = {
    "Error": {
        **fields({"error": TEXT, "message": TEXT}),
        "additionalProperties": True,
        "description": "error is a word for machines, message a sentence for people, field what is wrong.",
    },
    "Device": fields({"name": TEXT, "type": TEXT, "vram_total_bytes": WHOLE, "vram_free_bytes": WHOLE}),
    "Peer": fields(
        {
            **{"id": TEXT, "name": TEXT, "url": TEXT, "enabled": FLAG, "draining": FLAG},
            **{"tags": listed(TEXT), "has_credentials": FLAG, "tls": TEXT},
            **{"exclusive": FLAG, "only_idle": FLAG, "hours": TEXT, "relay_events": FLAG},
            "health": choices("unknown", "up", "suspect", "down", "ejected", "zombie", "needs_key"),
            **{"reason": TEXT, "version": TEXT, "devices": listed(ref("Device"))},
            **{"queue_running": WHOLE, "queue_pending": WHOLE, "ours": WHOLE, "checked_at": MOMENT},
            "node_types": {"type": ["integer", "null"]},
            "running": {"oneOf": [ref("RunningPrompt"), {"type": "null"}]},
        }
    ),
    "RunningPrompt": fields(
        {
            **{"job_id": {"type": ["string", "null"]}, "prompt_id": TEXT, "whose": choices("ours", "others")},
            **{"title": TEXT, "node": TEXT, "progress": {"type": ["number", "null"]}},
        }
    ),
    "PeerTest": fields(
        {
            **{"ok": FLAG, "seconds": NUMBER, "node_types": {"type": ["integer", "null"]}},
            "models_only_there": {
                "type": ["integer", "null"],
                "description": "Model files that the master does not have.",
            },
            "message": TEXT,
        }
    ),
    "Interruption": fields(
        {
            "foreign": {**FLAG, "description": "Also a prompt that somebody else sent."},
            "prompt_id": {**TEXT, "description": "Only if it is this one that runs."},
        },
        optional=("foreign", "prompt_id"),
    ),
    "Interrupted": fields(
        {"job_id": {"type": ["string", "null"]}, "prompt_id": TEXT, "whose": choices("ours", "others")}
    ),
    "Attempt": fields(
        {
            **{"peer_id": TEXT, "peer": TEXT, "prompt_id": TEXT, "started_at": MOMENT, "begun_at": MOMENT},
            "loaded_at": {**MOMENT, "description": "First step of a node; until then models are loaded."},
            "ended_at": MOMENT,
            "outcome": {**TEXT, "description": "Empty while it runs, else done or an error's word."},
            "reason": TEXT,
        }
    ),
    "Output": fields(
        {
            **{"node_id": TEXT, "filename": TEXT, "subfolder": TEXT, "type": TEXT},
            "url": {**TEXT, "description": "Where the master's own page shows it."},
        }
    ),
    "Job": fields(
        {
            "job_id": TEXT,
            "state": choices("waiting", "running", "done", "failed", "cancelled", "set_aside"),
            "source": choices("node", "http", "fleet"),
            **{"title": TEXT, "pinned_to": TEXT, "peer_id": TEXT, "peer": TEXT, "expected_s": SECONDS},
            "retry_of": {**TEXT, "description": "The ended job that this one repeats, if any."},
            "batch": {"oneOf": [ref("BatchPlace"), {"type": "null"}]},
            "inputs": {
                **listed(fields({"name": TEXT, "sha256": TEXT})),
                "description": "The master's files that went along, as the prompt names them.",
            },
            **{"attempts": listed(ref("Attempt")), "outputs": listed(ref("Output")), "texts": listed(TEXT)},
            "notes": {**listed(TEXT), "description": "What to know of it although it may be fine."},
            "error": {
                "type": ["object", "null"],
                "description": "code, message, and the peer's own details.",
            },
            "explanation": {**TEXT, "description": "Why this peer, and why not the others."},
            **{"progress": {**NUMBER, "minimum": 0, "maximum": 1}, "progress_text": TEXT, "is_silent": FLAG},
            "previews": {**WHOLE, "description": "Grows with each new picture of GET …/preview."},
            **{"created_at": MOMENT, "started_at": MOMENT, "begun_at": MOMENT, "ended_at": MOMENT},
        }
    ),
    "Jobs": fields(
        {
            "jobs": listed(ref("Job")),
            "line": {**listed(TEXT), "description": "Ids of waiting jobs, the next first."},
            "counts": fields({"waiting": WHOLE, "running": WHOLE, "ended": WHOLE}),
        }
    ),
    "Accepted": fields({"job_id": TEXT, "state": TEXT, "job_ids": listed(TEXT)}),
    "Forecast": {
        **fields(
            {
                **{"id": TEXT, "name": TEXT, "eligible": FLAG, "reason": TEXT, "is_guess": FLAG},
                "awaits": {**FLAG, "description": "It has all that is wanted; the job would wait for it."},
                "origin": {**TEXT, "enum": [origin.value for origin in Origin]},
                **dict.fromkeys(("start_s", "load_s", "run_s", "finish_s"), SECONDS),
                "need_bytes": {
                    "type": ["integer", "null"],
                    "description": "Memory that it is expected to need: learned, else what its files weigh.",
                },
                "caution": {**TEXT, "description": "What may go wrong there; no reason against it."},
            }
        ),
        "description": "In seconds from now, were it sent now; null for a peer that may not take it.",
    },
    "Outlook": fields(
        {
            **{"peers": listed(ref("Forecast")), "paused": FLAG},
            "held": {**TEXT, "description": 'Why no job is started now, besides a pause; "" when they are.'},
            "waiting": {**WHOLE, "description": "Jobs in the queue now."},
            "here": {**TEXT, "description": 'What of it would run on the master, and why; "" for nothing.'},
        }
    ),
    "Settings": fields(_SETTINGS),
    "NewPeer": fields(_PEER_WISHES, optional=[name for name in _PEER_WISHES if name != "url"]),
    "PeerChanges": fields(_PEER_WISHES, optional=list(_PEER_WISHES)),
    "Explained": fields({**_JOB_WISHES, **_OF_NODE}, optional=[*_JOB_WISHES, *_OF_NODE]),
    "JobRequests": fields({**_JOB_WISHES, **_SEVERAL}, optional=[*_JOB_WISHES, *_SEVERAL]),
    "Move": fields({"before": TEXT, "peer": TEXT}, optional=("before", "peer")),
    "Retry": fields(
        {"peer": {**TEXT, "description": 'Name or id; "" for any.'}, "priority": NUMBER},
        optional=("peer", "priority"),
    ),
    "SettingsChanges": fields(_SETTINGS, optional=list(_SETTINGS)),
    "Where": fields(
        {
            "known": {**FLAG, "description": "False until a page has asked for the host's nodes."},
            "places": listed(fields({"here": FLAG, "peers": listed(TEXT)})),
            "classes": {**ANYTHING, "description": "Class to the number of its place."},
            "values": {**ANYTHING, "description": "Class, input, value to the number of its place."},
        }
    ),
    "BatchPlace": fields(
        {
            "id": {**TEXT, "description": "The same for all jobs of one request."},
            **{"index": WHOLE, "changes": ANYTHING},
        }
    ),
    "Graph": fields(
        {"prompt": ANYTHING, "workflow": {"type": ["object", "null"]}}, optional=("prompt", "workflow")
    ),
    "Parameter": fields(
        {
            **{
                "address": TEXT,
                "node_id": TEXT,
                "input": TEXT,
                "title": TEXT,
                "class_type": TEXT,
                "type": TEXT,
            },
            **{"value": VALUE, "default": VALUE, "multiline": FLAG, "upload": {"type": ["string", "null"]}},
            **{name: {"type": ["number", "null"]} for name in ("min", "max", "step")},
            "choices": {"type": ["array", "null"]},
        }
    ),
    "Axes": fields(
        {
            "axes": {
                **listed(ANYTHING),
                "description": "Each an address with values, or from and to with step or count, or seeds.",
            },
            "combine": choices("grid", "side_by_side"),
        },
        optional=("combine",),
    ),
    "Addresses": fields(
        {
            "accepted": {**listed(TEXT), "description": "As in the settings."},
            "refused": listed(fields({"name": TEXT, "last_at": MOMENT, "times": WHOLE})),
        }
    ),
    "Nothing": fields({}),
}
