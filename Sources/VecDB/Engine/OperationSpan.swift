import Tracing
import VecDBBytes

/// One operation of a database in a trace, from its beginning to `end`. Any thread may end it; what
/// comes after the end is ignored.
package final class OperationSpan: Sendable {
  /// Under which further spans belong to this one.
  package let context: InstrumentationContext
  private let span: Guarded<(any Span)?>

  init(_ span: any Span) {
    context = span.context
    self.span = Guarded(span)
  }

  /// Records a fact of the operation.
  package func note(_ name: String, _ value: some SpanAttributeConvertible) {
    span.withLock { $0?.attributes[name] = value.toSpanAttribute() }
  }

  /// Marks the operation as failed.
  package func fail(_ cause: any Error) {
    let error = VecDBError(wrapping: cause)
    span.withLock { span in
      guard let span else { return }
      span.attributes["error.type"] = error.code.rawValue
      span.recordError(error)
      span.setStatus(SpanStatus(code: .error, message: error.message))
    }
  }

  package func end() {
    span.withLock { span in
      span?.end()
      span = nil
    }
  }
}
