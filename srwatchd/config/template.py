"""The commented configuration that ``srwatchd init`` writes and that ships as the example.

A line that begins with ``#`` and a space is an explanation; a ``#`` right before a key holds that key with its default,
to be uncommented. A test uncomments every one of them and compares.
"""

from __future__ import annotations

__all__ = ["init_text"]

_TOP = """\
# srwatchd: super-resolution for hot folders.
# Drop pictures into an inbox; enlarged ones appear in done, sources go to the archive, failures to error.
#
#   srwatchd check-config FILE      every error of this file at once
#   srwatchd run --config FILE      the daemon
#
# Relative paths begin at this file's folder; ~ and $NAME are not expanded. Unknown keys are errors.
# Sizes: bytes, or kB MB GB TB (1000), KiB MiB GiB TiB (1024). Durations: seconds, or ms s min h d w.
# A "#" right before a key shows its default: remove the "#" to change it. SIGHUP reloads this file.

version: 1

# Socket, lock, status, checkpoints and scratch files. Keep it on a local disk, outside every inbox.
state_dir: var
# Imported models, beside the ones that come with srwatchd.
#models_dir: var/models

# The whole service, supervisor and all workers. Larger means larger tiles.
memory_limit: 1GiB
# Inference workers. One uses all processors; more need 192 MiB each.
#workers: 1

#engine:
  # auto measures what is installed and takes the fastest: opencv, openvino, onnxruntime (extra onnx or cuda).
  #name: auto
  # auto tries what is there, an NPU only by name; a named one has to be there: cpu gpu npu cuda (docs/engines.md).
  #device: auto
  # f32 bf16 f16; the short ones are faster on some processors and differ by up to one grey level in the mean.
  #precision: f32
  # Threads per inference worker; 0 shares the processors out.
  #threads: 0

#audit:
  # The ledger: what happened to every picture, each line chained to the one before it.
  #path: var/audit/audit.jsonl
  # A file whose content keys the chain (HMAC). Who can read it can forge the ledger.
  #key_file: null
  #segment_size: 64MiB
  # Oldest segments are removed beyond these, each with a tombstone; off keeps all. max_size: two segments at least.
  #max_age: off
  #max_size: off

#log:
  # debug info warning error
  #level: info
  # auto is console on a terminal, else json
  #format: auto

# Figures for Prometheus in a file for node_exporter's textfile collector; no port is opened.
#metrics:
  # off writes none
  #path: var/metrics/srwatchd.prom
  #interval: 30 s

# The web console, a process of its own: srwatchd console --config FILE. docs/console.md
#console:
  # Elsewhere than on this machine it wants users first: srwatchd console user add NAME --role operator
  #host: 127.0.0.1
  #port: 8470
  # Further names that it is reached by, without a port.
  #allowed_hosts: []
  # Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
  #trusted_proxies: []
  # PEM files, for https without a proxy.
  #tls:
    #certificate: null
    #key: null
  #upload:
    # Of one file; a folder's own max_size holds as well.
    #max_size: 1GiB
    #at_once: 64
  # Pictures made for pages.
  #renditions:
    #max_size: 256MiB
  # The console and the workers that make its pictures, beside the memory_limit above.
  #memory_limit: 512MiB
  # POST /api/v1/upscale, a picture in, the enlarged one out: each of these models gets a folder in state_dir.
  #upscale:
    #models: []
    # Above this the answer is 429.
    #in_flight: 4
    # Then the answer is 504; the job goes on.
    #timeout: 5 min

# What holds for every folder below, unless the folder says otherwise. Every key shown here may stand in a folder.
defaults:
  # `srwatchd models list` shows what there is: with `_photo` for photographs (JPEG), the others for clean pictures.
  model: @MODEL@
  # Pictures are held while less than this (or a twentieth of a smaller disk) is free where results go.
  min_free: 1GiB

  # What becomes of a source after success: archive delete
  #on_success: archive
  # auto polls network mounts and watches local ones: auto inotify poll
  #watch_mode: auto
  # Every inbox is scanned this often, whatever the file events said.
  #rescan_interval: 60 s
  # A file is complete when it was quiet for this long. null is by mount: 2 s local, 30 s network.
  #settle: null
  # An undecodable file may still be growing for this long. null is by mount: 60 s local, 2 min network.
  #grace: null
  # A writer may keep a file open for this long.
  #max_hold: 15 min
  # done_file waits for NAME.done beside NAME: settled done_file
  #ready: settled
  #recursive: true
  # Name patterns. Empty include is all; the built-in list of junk is always left alone.
  #include: []
  #exclude: []
  #min_size: 1
  #max_size: 1GiB
  # oldest newest name smallest
  #order: oldest
  # Folders take turns; one of weight 2 gets two turns where one of weight 1 gets one.
  #weight: 1
  # Empty is always. Local time, for example ["mon-fri 22:00-06:00", "sat,sun 00:00-24:00"]
  #active_hours: []

  #output:
    # same png jpeg webp tiff avif gif; same turns BMP, JPEG 2000 and GIF into PNG.
    #format: same
    # In braces: stem name ext (the source's) scale model folder width height date. Must hold stem or name.
    #filename: "{stem}_x{scale}"
    # 1 to 100 and 0 to 9; null is the best usual value of each format.
    #quality: null
    #compression: null
    # keep strip gps-stripped
    #metadata: keep
    # keep srgb
    #icc: keep
    # Shrink the result to this many pixels at its longer edge, or to this factor of the source. One of them.
    #longest_edge: null
    #factor: null
    # Octal, as for chmod. A group of null is that of the destination folder.
    #file_mode: 0664
    #dir_mode: 2775
    #group: null
    # A taken name: rename makes "NAME (1)"; error quarantines. Nothing is ever overwritten.
    #on_conflict: rename
    # A result too large for its format: error scale_down png tiff jpeg
    #on_format_limit: error
    # Behind transparency where the format has none: white black grey "#rrggbb"
    #background: white

  #limits:
    #max_input_pixels: 250 M
    #max_output_pixels: 2 G
    # A worker without progress for longer is killed. null is by model.
    #seconds_per_megapixel: null

  #retry:
    #max_attempts: 3
    #initial_delay: 10 s
    #max_delay: 10 min

  # Oldest files are removed beyond these. off keeps everything.
  #retention:
    #archive:
      #max_age: off
      #max_size: off
    #done:
      #max_age: off
      #max_size: off
    #error:
      #max_age: off
      #max_size: off
    # Whose oldest files go before their time when less than min_free is free: archive done error. Empty: none.
    #make_room: []

  # Commands run when a picture was delivered, went to error, or the folder is held: [/absolute/program, argument].
  # No shell; what they are told is in docs/operations.md.
  #hooks:
    #on_success: []
    #on_failure: []
    #on_hold: []
    # Then the command and all that it started are killed.
    #timeout: 30 s

  #source:
    # Samba's full_audit log, or a pattern such as log.* of several: who dropped a picture goes into the ledger.
    #samba_audit_log: null

folders:
"""

_FOLDER = """\
  - id: @ID@
    inbox: @ROOT@/in
    done: @ROOT@/done
    error: @ROOT@/error
    # Default: archive beside done.
    #archive: @ROOT@/archive
"""


def init_text(*, model: str = "fsrcnn_x2_photo", folder: str = "pictures") -> str:
    """A configuration with one hot folder, valid as it is wherever it is put; its folders lie beside it.

    ``model`` is the default model, ``folder`` the id of the hot folder, whose places are below ``hot/<id>``.
    """
    hot = _FOLDER.replace("@ID@", folder).replace("@ROOT@", f"hot/{folder}")
    return _TOP.replace("@MODEL@", model) + hot
