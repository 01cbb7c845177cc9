//! Headless Chromium, driven through the `DevTools` protocol over a pipe, with real
//! clicks and keys. Elements that the page does not show cannot be clicked.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program;

/// A browser with one page. Dropping it ends the process.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// Events that arrived before an awaited response.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts `chromium`, from the path or `FRAGCACHE_CHROMIUM`, with an empty
    /// profile and with page scripts disabled.
    ///
    /// # Panics
    ///
    /// Panics if the program is missing, with the command that installs it, or if it
    /// does not start.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        // The protocol uses file descriptors 3 and 4, which the shell opens from the pipes.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "browser"])
            .arg(program::chromium())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-extensions", "--disable-background-networking"])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let to = process.stdin.take().expect("it is piped");
        let from = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut browser = Self {
            process,
            to,
            from,
            session: None,
            last: 0,
            events: Vec::new(),
            _profile: profile,
        };
        browser.open_page();
        browser
    }

    fn open_page(&mut self) {
        let page = self.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = self.ask("Target.attachToTarget", &attach);
        self.session = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        self.ask("Page.enable", &json!({}));
        self.ask("Network.enable", &json!({}));
        self.ask("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
        self.window(1200, 900, false);
    }

    /// Sets the window's size in points, and whether it prefers dark pages.
    ///
    /// # Panics
    ///
    /// Panics if the browser does not answer.
    pub fn window(&mut self, width: u32, height: u32, dark: bool) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", &features);
    }

    /// Opens an address and waits until its page has loaded.
    ///
    /// # Panics
    ///
    /// Panics if it cannot be opened.
    pub fn open(&mut self, address: &str) {
        self.events.clear();
        let answer = self.ask("Page.navigate", &json!({ "url": address }));
        assert!(answer.get("errorText").is_none(), "{address}: {answer}");
        self.until_loaded();
    }

    /// Clicks the middle of the first element that matches `selector`, and waits for
    /// the page that it leads to.
    ///
    /// # Panics
    ///
    /// Panics if there is no such element, or if it is not visible.
    pub fn click(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.events.clear();
        self.mouse("mousePressed", x, y);
        self.mouse("mouseReleased", x, y);
        self.until_loaded();
    }

    /// Clicks a field and types.
    ///
    /// # Panics
    ///
    /// Like [`click`](Self::click).
    pub fn write(&mut self, selector: &str, text: &str) {
        let (x, y) = self.middle(selector);
        self.mouse("mousePressed", x, y);
        self.mouse("mouseReleased", x, y);
        self.ask("Input.insertText", &json!({ "text": text }));
    }

    /// Presses the enter key, and waits for the page that it leads to.
    ///
    /// # Panics
    ///
    /// Panics if no page loads.
    pub fn enter(&mut self) {
        self.events.clear();
        for kind in ["keyDown", "keyUp"] {
            let key = json!({
                "type": kind, "key": "Enter", "code": "Enter", "text": "\r",
                "windowsVirtualKeyCode": 13,
            });
            self.ask("Input.dispatchKeyEvent", &key);
        }
        self.until_loaded();
    }

    /// Evaluates an expression in the page; the page's own scripts stay disabled.
    ///
    /// # Panics
    ///
    /// Panics if the expression fails.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let what = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", &what);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text that the page shows.
    ///
    /// # Panics
    ///
    /// Panics if the browser does not answer.
    pub fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// The address of the page.
    ///
    /// # Panics
    ///
    /// Panics if the browser does not answer.
    pub fn address(&mut self) -> String {
        self.evaluate("document.location.href").as_str().unwrap_or_default().to_owned()
    }

    /// The addresses requested since the last page was opened, or the last click.
    pub fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|e| e["method"] == "Network.requestWillBeSent");
        let urls = sent.filter_map(|event| event["params"]["request"]["url"].as_str());
        urls.map(str::to_owned).collect()
    }

    /// Writes a screenshot of the whole page to `file`.
    ///
    /// # Panics
    ///
    /// Panics if it cannot be written.
    pub fn picture(&mut self, file: &Path) {
        let how = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.ask("Page.captureScreenshot", &how);
        let encoded = answer["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64");
        std::fs::write(file, bytes).expect("the picture is written");
    }

    /// Scrolls an element into view and returns its middle, if a click there would hit the element.
    fn middle(&mut self, selector: &str) -> (f64, f64) {
        let wanted = Value::from(selector);
        let found = self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({wanted}); if (!e) return 'absent';
             e.scrollIntoView({{ block: 'center', behavior: 'instant' }});
             const r = e.getBoundingClientRect();
             const [x, y] = [r.x + r.width / 2, r.y + r.height / 2];
             const hit = document.elementFromPoint(x, y);
             return e === hit || e.contains(hit) ? [x, y] : 'covered'; }})()"
        ));
        match (found[0].as_f64(), found[1].as_f64()) {
            (Some(x), Some(y)) => (x, y),
            _ => panic!("{selector} is {found} in {}", self.text()),
        }
    }

    fn mouse(&mut self, kind: &str, x: f64, y: f64) {
        let click = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
        self.ask("Input.dispatchMouseEvent", &click);
    }

    fn until_loaded(&mut self) {
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read();
            self.events.push(event);
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = Value::from(session.as_str());
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut answer = self.read();
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).expect("the browser answers");
        assert_eq!(message.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&message).expect("the protocol is JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It exits when asked to; the write fails if it has already exited.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let _ = self.process.wait();
    }
}
