import Foundation
import VecDBBytes

/// What is measured over time: searches' times in windows of half a second, and recall.
final class Series: Sendable {
  struct Window: Sendable {
    var nanoseconds: [UInt64] = []
  }

  struct State: Sendable {
    var windows: [Window] = []
    var recall: [(seconds: Double, value: Double)] = []
    /// When each part began.
    var marks: [(seconds: Double, name: String)] = []
    var stages: [(seconds: Double, name: String)] = []
  }

  static let windowSeconds = 0.5
  private let started = DispatchTime.now().uptimeNanoseconds
  let state = Guarded(State())

  private var seconds: Double {
    Double(DispatchTime.now().uptimeNanoseconds - started) / 1e9
  }

  func add(nanoseconds: UInt64) {
    let window = Int(seconds / Self.windowSeconds)
    state.withLock { state in
      while state.windows.count <= window { state.windows.append(Window()) }
      state.windows[window].nanoseconds.append(nanoseconds)
    }
  }

  func add(recall: Double) {
    let now = seconds
    state.withLock { $0.recall.append((now, recall)) }
  }

  func mark(_ name: String) {
    let now = seconds
    state.withLock { $0.marks.append((now, name)) }
  }

  func note(stage: String) {
    let now = seconds
    state.withLock { state in
      if state.stages.last?.name != stage { state.stages.append((now, stage)) }
    }
  }

  static func percentile99(_ values: [UInt64]) -> Double {
    guard !values.isEmpty else { return 0 }
    return Double(values.sorted()[min(values.count - 1, values.count * 99 / 100)]) / 1e6
  }

  func summarize(_ report: inout LiveRun.Report) {
    let state = state.withLock { $0 }
    func part(_ name: String) -> (times: [UInt64], recall: [Double], seconds: Double) {
      guard let index = state.marks.firstIndex(where: { $0.name == name }) else {
        return ([], [], 0)
      }
      let from = state.marks[index].seconds
      let to =
        index + 1 < state.marks.count
        ? state.marks[index + 1].seconds : Double(state.windows.count) * Self.windowSeconds
      let windows = state.windows.enumerated().filter {
        let time = Double($0.offset) * Self.windowSeconds
        return time >= from && time + Self.windowSeconds <= to
      }
      return (
        windows.flatMap(\.element.nanoseconds),
        state.recall.filter { $0.seconds >= from && $0.seconds < to }.map(\.value), to - from
      )
    }
    let (before, during, after) = (part("before"), part("during"), part("after"))
    report.searches = state.windows.reduce(0) { $0 + $1.nanoseconds.count }
    report.p99BeforeMilliseconds = Self.percentile99(before.times).rounded(digits: 4)
    report.p99DuringMilliseconds = Self.percentile99(during.times).rounded(digits: 4)
    report.p99AfterMilliseconds = Self.percentile99(after.times).rounded(digits: 4)
    report.ratio =
      (Self.percentile99(during.times) / max(1e-9, Self.percentile99(before.times)))
      .rounded(digits: 3)
    report.recallBefore =
      (before.recall.reduce(0, +) / Double(max(1, before.recall.count))).rounded(digits: 4)
    report.leastRecallBefore = before.recall.min() ?? 0
    report.leastRecallDuring = during.recall.min() ?? 0
    report.leastRecallAfter = after.recall.min() ?? 0
    report.searchesPerSecondBefore =
      (Double(before.times.count) / max(1e-9, before.seconds)).rounded(digits: 0)
    report.searchesPerSecondDuring =
      (Double(during.times.count) / max(1e-9, during.seconds)).rounded(digits: 0)
  }
}

/// p99 and recall over time, drawn.
struct Plot {
  private let state: Series.State
  private static let width = 900.0
  private static let height = 220.0
  private static let left = 60.0

  init(_ series: Series) { state = series.state.withLock { $0 } }

  func svg() -> String {
    let seconds = max(1, Double(state.windows.count) * Series.windowSeconds)
    let times = state.windows.map { Series.percentile99($0.nanoseconds) }
    let highest = max(0.001, times.sorted().dropLast(times.count / 100).last ?? 1) * 1.1
    let leastRecall = min(0.95, (state.recall.map(\.value).min() ?? 0.95) - 0.01)
    func x(_ time: Double) -> Double { Self.left + time / seconds * (Self.width - Self.left - 10) }
    func y(_ value: Double, _ low: Double, _ high: Double, _ top: Double) -> Double {
      top + Self.height * (1 - (min(max(value, low), high) - low) / (high - low))
    }
    func text(_ x: Double, _ y: Double, _ text: String, _ size: Int = 12) -> String {
      "<text x=\"\(Int(x))\" y=\"\(Int(y))\" font-size=\"\(size)\">\(text)</text>\n"
    }
    let (top1, top2) = (40.0, 40 + Self.height + 50)
    var body = ""
    for (index, mark) in state.marks.enumerated() {
      let end = index + 1 < state.marks.count ? state.marks[index + 1].seconds : seconds
      let colour = mark.name == "during" ? "#fdf0d5" : "#f4f4f4"
      for top in [top1, top2] {
        body += "<rect x=\"\(x(mark.seconds))\" y=\"\(top)\" width=\"\(x(end) - x(mark.seconds))\" "
        body += "height=\"\(Self.height)\" fill=\"\(colour)\"/>\n"
      }
      body += text(x(mark.seconds) + 4, top1 + 14, mark.name)
    }
    for stage in state.stages {
      body += "<line x1=\"\(x(stage.seconds))\" x2=\"\(x(stage.seconds))\" y1=\"\(top1)\" "
      body += "y2=\"\(top1 + Self.height)\" stroke=\"#bbb\"/>\n"
      body += "<text transform=\"translate(\(x(stage.seconds) + 11),\(top1 + 90)) rotate(-90)\" "
      body += "font-size=\"10\" fill=\"#666\">\(stage.name)</text>\n"
    }
    let latency = times.enumerated().map {
      "\(x((Double($0.offset) + 0.5) * Series.windowSeconds)),\(y($0.element, 0, highest, top1))"
    }
    body +=
      "<polyline fill=\"none\" stroke=\"#1d4e89\" points=\"\(latency.joined(separator: " "))\"/>\n"
    let recall = state.recall.map { "\(x($0.seconds)),\(y($0.value, leastRecall, 1, top2))" }
    body +=
      "<polyline fill=\"none\" stroke=\"#2a7f3f\" points=\"\(recall.joined(separator: " "))\"/>\n"
    body += text(4, top1 - 8, "p99 of a search in windows of 0.5 s, in ms")
    body +=
      text(4, top1 + 10, "\(highest.rounded(digits: 2))", 10) + text(4, top1 + Self.height, "0", 10)
    body += text(4, top2 - 8, "recall@10 of 20 queries")
    body += text(4, top2 + 10, "1.0", 10)
    body += text(4, top2 + Self.height, "\(leastRecall.rounded(digits: 3))", 10)
    body += text(Self.width - 60, top2 + Self.height + 16, "\(Int(seconds)) s", 10)
    return """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Self.width))" \
      height="\(Int(top2 + Self.height + 30))" font-family="sans-serif">
      <rect width="100%" height="100%" fill="white"/>
      \(body)</svg>

      """
  }
}
