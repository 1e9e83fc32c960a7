import Dispatch

/// Runs a body every so many seconds, in the background, until it is cancelled.
package final class RepeatingTimer: @unchecked Sendable {
  // Unchecked: a dispatch source may be cancelled from any thread.
  private let source = DispatchSource.makeTimerSource(queue: .global(qos: .utility))

  package init(seconds: Int, _ body: @escaping @Sendable () -> Void) {
    let period = DispatchTimeInterval.seconds(seconds)
    source.schedule(deadline: .now() + period, repeating: period, leeway: .seconds(10))
    source.setEventHandler(handler: body)
    source.resume()
  }

  package func cancel() { source.cancel() }
}
