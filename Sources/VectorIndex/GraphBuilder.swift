final class GraphBuilder {}
extension IndexGeneration {
  func insertTailIfDue() throws(IndexError) {}
}
