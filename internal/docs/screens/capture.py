#!/usr/bin/env python3
"""Captures screens of the program from a real terminal (tmux) into this folder.

    go build -o /tmp/bin/metaxy-delta ./cmd/metaxy-delta
    internal/docs/screens/capture.py /tmp/bin/metaxy-delta

Each screen is taken at 80 and 140 columns, as text and as SVG on light and dark.
"""
import html, os, pathlib, re, shutil, subprocess, sys, tempfile, time

here = pathlib.Path(__file__).resolve().parent
project = here.parents[2] / "cmd" / "metaxy-delta" / "testdata" / "help"
screens = {  # name: rows, command
    "status": (12, "metaxy-delta status --all-features"),
    "read": (9, "metaxy-delta read video/raw"),
    "history": (10, "metaxy-delta table history stores/prod/video/raw.delta; metaxy-delta table files stores/prod/video/raw.delta"),
    "plan": (16, "metaxy-delta plan"),
    "why": (10, "metaxy-delta why video/transcript v1 v2"),
    "graph": (12, "metaxy-delta graph render"),
    "write": (10, "metaxy-delta write video/raw videos.csv --dry-run"),
    "error": (4, "metaxy-delta read video/rw"),
    "help": (36, "metaxy-delta read --help"),
    "progress": (3, "metaxy-delta resolve video/transcript --store big --no-remember"),
}
themes = {
    "dark": {"": "#d0d0d0", "bg": "#1c1c1c", "31": "#ff6b6b", "32": "#7ec77e", "33": "#e5c07b", "36": "#67c8d3", "2": "#8a8a8a"},
    "light": {"": "#2b2b2b", "bg": "#ffffff", "31": "#c01c28", "32": "#1a7f37", "33": "#8a6100", "36": "#0b7285", "2": "#767676"},
}


def tmux(*args):
    return subprocess.run(["tmux", "-L", f"screens{os.getpid()}", *args], capture_output=True, text=True)


def capture(cwd, bin_dir, columns, rows, command, until):
    """The screen with its escapes, once `until` holds for its text."""
    line = f"cd {cwd}; export PATH={bin_dir}:$PATH LC_ALL=C.UTF-8; clear; {command}; sleep 60"
    tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "sh", "-c", line)
    last = ""
    for _ in range(400):
        time.sleep(0.05)
        text = tmux("capture-pane", "-p", "-e").stdout
        if text.strip() and until(text, last):
            break
        last = text
    tmux("kill-server")
    time.sleep(0.2)
    return text.rstrip() + "\n"


def settled(text, last):
    settled.same = settled.same + 1 if text == last else 0
    return settled.same > 15


settled.same = 0
sgr = re.compile(r"\x1b\[([0-9;]*)m")


def plain(text):
    return "".join(line.rstrip() + "\n" for line in sgr.sub("", text).splitlines())


def svg(text, columns, theme):
    colours, out, bold, faint, colour = themes[theme], [], False, False, ""
    lines = text.splitlines()
    width, height = columns * 8 + 24, len(lines) * 18 + 24
    out.append(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13.3">')
    out.append(f'<rect width="100%" height="100%" rx="6" fill="{colours["bg"]}"/>')
    for i, line in enumerate(lines):
        spans, cell = [], 0
        for n, part in enumerate(sgr.split(line)):
            if n % 2:
                for c in part.split(";"):
                    if c in ("", "0"):
                        bold, faint, colour = False, False, ""
                    elif c == "22":
                        bold = faint = False
                    elif c == "39":
                        colour = ""  # tmux says so of faint text, too
                    elif c == "1":
                        bold = True
                    elif c == "2":
                        faint = True
                    elif c in colours:
                        colour = c
                continue
            if part:
                weight = ' font-weight="bold"' if bold else ""
                spans.append(f'<tspan x="{12 + cell * 8}" textLength="{len(part) * 8}" fill="{colours[colour or ("2" if faint else "")]}"{weight}>{html.escape(part)}</tspan>')
                cell += len(part)
        out.append(f'<text y="{28 + i * 18}" xml:space="preserve">{"".join(spans)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as tmp:
        work, bin_dir = pathlib.Path(tmp, "media"), pathlib.Path(tmp, "bin")
        same = ("/home/ada/videos/" + "x" * 40)[: len(str(work)) - 6] + "/media"  # as long as the real place, so that frames stay in line
        shutil.copytree(project, work)
        bin_dir.mkdir()
        (bin_dir / "metaxy-delta").symlink_to(program)
        env = dict(os.environ, PATH=f"{bin_dir}:{os.environ['PATH']}")
        subprocess.run(["sh", "-e", "setup.sh"], cwd=work, env=env, check=True, capture_output=True)
        config = work / "metaxy.toml"
        config.write_text(config.read_text() + '[stores.big]\ntype = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"\n[stores.big.config]\nroot_path = "stores/big"\n')
        with open(work / "many.csv", "w") as f:
            f.write("video_id,metaxy_provenance_by_field.audio,metaxy_provenance_by_field.frames\n")
            f.writelines(f"video_{n},a{n},f{n}\n" for n in range(1_500_000))
        for args in (["push", "--store", "big"], ["write", "video/raw", "many.csv", "--store", "big"]):
            subprocess.run([program, *args], cwd=work, check=True, capture_output=True)
        for name, (rows, command) in screens.items():
            for columns in (80, 140):
                settled.same = 0
                until = (lambda text, _: "% of" in text) if name == "progress" else settled
                text = capture(work, bin_dir, columns, rows, command, until).replace(str(work), same)
                (here / f"{name}-{columns}.txt").write_text(plain(text))
                for theme in themes:
                    (here / f"{name}-{columns}-{theme}.svg").write_text(svg(text, columns, theme))
                print(f"--- {name} {columns}\n{plain(text)}")


main()
