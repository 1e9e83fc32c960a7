import VecDB

/// The report of rehearsals as one page that needs nothing else.
enum DrillPage {
  static func html(
    _ reports: [DrillReport], targets: DrillTargets, database: String
  ) -> String {
    let passed = reports.count { $0.passed }
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8"><title>vecdb drill</title>
      <style>
      body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em;color:#222}
      h2{margin:1.6em 0 .2em;font-size:1.1em}.ok{color:#17722f}.bad{color:#b3261e}
      table{border-collapse:collapse}td,th{padding:.15em 1.2em .15em 0;text-align:left}
      td.n{text-align:right;font-variant-numeric:tabular-nums}svg{display:block;margin:.5em 0}
      svg text{font:12px system-ui,sans-serif}
      </style></head><body>
      <h1>vecdb drill: <span class="\(passed == reports.count ? "ok" : "bad")">\(passed) of \
      \(reports.count) passed</span></h1>
      <p>With \(escaped(database)). Targets: at most \(targets.lostRecords) acknowledged records lost, \
      answers proven within \(Format.seconds(targets.recoverySeconds)), recall at least \
      \(Format.decimal(targets.recallShare * 100, 1)) % of that before.</p>
      \(reports.map(section).joined(separator: "\n"))
      </body></html>

      """
  }

  private static func section(_ report: DrillReport) -> String {
    var facts = [
      ("acknowledged records", Format.count(report.acknowledgedRecords)),
      ("lost", Format.count(report.lostRecords)),
    ]
    if let seconds = report.recoverySeconds {
      facts.append(("answers proven after", Format.seconds(seconds)))
    }
    if let before = report.recallBefore, let after = report.recallAfter {
      facts.append(
        ("recall before, after", "\(Format.decimal(before, 4)), \(Format.decimal(after, 4))"))
    }
    if let certificate = report.certificate { facts.append(("certificate", certificate)) }
    let rows = facts.map { "<tr><th>\($0)</th><td>\(escaped($1))</td></tr>" }.joined()
    let problems = report.problems.map { "<p class=\"bad\">\(escaped($0))</p>" }.joined()
    return """
      <h2><span class="\(report.passed ? "ok" : "bad")">\(report.passed ? "PASSED" : "FAILED")</span>
      \(escaped(report.title))</h2>
      \(plot(report.phases))<table>\(rows)</table>\(problems)
      """
  }

  /// A bar for each phase on one axis of time.
  private static func plot(_ phases: [DrillReport.Phase]) -> String {
    guard let end = phases.map({ $0.beganSeconds + $0.seconds }).max(), end > 0 else { return "" }
    let (left, width, row) = (190.0, 560.0, 20.0)
    let bars = phases.enumerated().map { index, phase -> String in
      let x = left + phase.beganSeconds / end * width
      let length = max(1.5, phase.seconds / end * width)
      let y = Double(index) * row
      return """
        <text x="\(left - 10)" y="\(y + 14)" text-anchor="end">\(escaped(phase.name))</text>\
        <rect x="\(number(x))" y="\(y + 4)" width="\(number(length))" height="12" fill="#3b6ea5"/>\
        <text x="\(number(x + length + 6))" y="\(y + 14)">\(Format.seconds(phase.seconds))</text>
        """
    }
    let height = Double(phases.count) * row
    let ticks = (0...4).map { index -> String in
      let x = left + Double(index) / 4 * width
      return """
        <line x1="\(number(x))" x2="\(number(x))" y1="0" y2="\(height)" stroke="#ddd"/>\
        <text x="\(number(x))" y="\(height + 14)" text-anchor="middle" fill="#666">\
        \(Format.seconds(end * Double(index) / 4))</text>
        """
    }
    return """
      <svg width="880" height="\(height + 20)" role="img" aria-label="timeline">\
      \(ticks.joined())\(bars.joined())</svg>
      """
  }

  private static func number(_ value: Double) -> String { Format.decimal(value, 1) }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
  }
}
