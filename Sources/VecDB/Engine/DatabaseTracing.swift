import Dispatch
import Tracing

/// Makes the spans of a database's operations. Attributes have OpenTelemetry's names for databases;
/// what that has no name for begins with `vecdb.`.
///
/// Without a tracer every operation pays one comparison.
package struct DatabaseTracing: Sendable {
  /// Nil if nobody listens.
  private let tracer: (any Tracer)?
  /// The path of the database.
  private let namespace: String
  /// Searches that take at least so long get a span.
  let slowSearchNanoseconds: UInt64

  package init(_ configuration: DatabaseConfiguration, path: String) {
    tracer = configuration.tracer is NoOpTracer ? nil : configuration.tracer
    namespace = path
    let slow = configuration.slowSearch / .nanoseconds(1)
    slowSearchNanoseconds = tracer == nil ? .max : UInt64(max(0, min(slow, 1e18)))
  }

  /// What the caller's span is known by; nil if nobody listens or there is none.
  var caller: InstrumentationContext? { tracer == nil ? nil : .current }

  /// Begins a span that its owner ends; nil if nobody listens.
  func begin(
    _ operation: String, collection: String? = nil,
    under parent: InstrumentationContext? = .current
  ) -> OperationSpan? {
    tracer.map { OperationSpan(start(operation, collection, parent, $0)) }
  }

  /// Runs `body` in a span.
  package func trace<Value>(
    _ operation: String, collection: String? = nil,
    under parent: InstrumentationContext? = .current, _ body: (OperationSpan?) throws -> Value
  ) rethrows -> Value {
    guard let span = begin(operation, collection: collection, under: parent) else {
      return try body(nil)
    }
    defer { span.end() }
    do {
      return try InstrumentationContext.$current.withValue(span.context) { try body(span) }
    } catch {
      span.fail(error)
      throw error
    }
  }

  /// Runs an async `body` in a span.
  package func trace<Value>(
    _ operation: String, collection: String? = nil,
    under parent: InstrumentationContext? = .current,
    isolation: isolated (any Actor)? = #isolation, _ body: (OperationSpan?) async throws -> Value
  ) async rethrows -> Value {
    guard let span = begin(operation, collection: collection, under: parent) else {
      return try await body(nil)
    }
    defer { span.end() }
    do {
      return try await InstrumentationContext.$current.withValue(span.context) {
        try await body(span)
      }
    } catch {
      span.fail(error)
      throw error
    }
  }

  /// Runs a commit group in a span under that of the first caller, linked to those of the others.
  func traceCommit(
    of callers: [InstrumentationContext], requests: Int, _ body: (OperationSpan?) -> Void
  ) {
    guard let tracer else { return body(nil) }
    let span = start("commit", nil, callers.first, tracer)
    for other in callers.dropFirst().prefix(Self.maximumLinks) {
      span.addLink(SpanLink(context: other, attributes: [:]))
    }
    span.attributes["db.operation.batch.size"] = requests
    let operation = OperationSpan(span)
    body(operation)
    operation.end()
  }

  private static let maximumLinks = 128

  /// A search that took at least `slowSearchNanoseconds`, after it has ended.
  func noteSlowSearch(_ result: SearchResult, k: Int, of collection: String, nanoseconds: UInt64) {
    guard let tracer else { return }
    let end = DefaultTracerClock.now
    let start = DefaultTracerClock.Timestamp(
      nanosecondsSinceEpoch: end.nanosecondsSinceEpoch - nanoseconds)
    let span: any Span = tracer.startSpan(
      "search \(collection)", context: .current ?? .topLevel, ofKind: .internal, at: start)
    describe(span, "search", collection)
    span.attributes["db.response.returned_rows"] = result.hits.count
    span.attributes["vecdb.search.k"] = k
    span.attributes["vecdb.search.ef"] = result.efSearch
    span.attributes["vecdb.search.plan"] = result.plan.rawValue
    span.attributes["vecdb.search.hops"] = result.hops
    span.attributes["vecdb.search.distances"] = result.distances
    if let matching = result.matching { span.attributes["vecdb.search.matching"] = matching }
    span.end(at: end)
  }

  /// Runs `body`, on whatever thread, with the caller's span as the present one.
  func carrying<Value>(
    _ body: @escaping @Sendable () throws -> Value
  ) -> @Sendable () throws -> Value {
    guard let caller else { return body }
    return { try InstrumentationContext.$current.withValue(caller, operation: body) }
  }

  private func start(
    _ operation: String, _ collection: String?, _ parent: InstrumentationContext?,
    _ tracer: any Tracer
  ) -> any Span {
    let span: any Span = tracer.startSpan(
      collection.map { "\(operation) \($0)" } ?? operation, context: parent ?? .topLevel,
      ofKind: .internal)
    describe(span, operation, collection)
    return span
  }

  private func describe(_ span: any Span, _ operation: String, _ collection: String?) {
    span.attributes["db.system.name"] = "vecdb"
    span.attributes["db.namespace"] = namespace
    span.attributes["db.operation.name"] = operation
    if let collection { span.attributes["db.collection.name"] = collection }
  }
}
