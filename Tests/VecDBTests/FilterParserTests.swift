import Testing
import VecDB

@Suite struct FilterParserTests {
  @Test func theExampleOfTheDocumentation() throws {
    let filter = try Filter(
      parsing: "year >= 2020 and lang in ('de','en') and not exists(x) or tags contains 'a'")
    #expect(
      filter
        == (Field("year") >= 2020 && Field("lang").in(["de", "en"]) && !Field("x").exists
          || Field("tags").contains("a")))
    #expect(
      filter.description
        == "year >= 2020 and lang in ('de', 'en') and not exists(x) or tags contains 'a'")
  }

  @Test(arguments: [
    ("YEAR=1 AND Lang<>'x'", "YEAR == 1 and Lang != 'x'"),
    ("a==1&&!b==2||c==3", "a == 1 and not b == 2 or c == 3"),
    ("a in [1,2]", "a in (1, 2)"),
    ("\"a b\" == \"it's\"", "\"a b\" == 'it''s'"),
    ("`a\"b` == 'say \"hi\"'", "\"a\"\"b\" == 'say \"hi\"'"),
    ("\"and\" == null", "\"and\" == null"),
    ("größe.x-y_1 > -1.50e+3", "größe.x-y_1 > -1500.0"),
    ("a == 'C:\\dir'", "a == 'C:\\dir'"),
    ("((a == 1))", "a == 1"),
    ("a == 1 and (b == 2 or c == 3)", "a == 1 and (b == 2 or c == 3)"),
    ("(a == 1 and b == 2) and c == 3", "(a == 1 and b == 2) and c == 3"),
    ("not (a == 1 and b == 2)", "not (a == 1 and b == 2)"),
    ("a == 9223372036854775808.0", "a == 9.223372036854776e+18"),
    ("a == [1, 'x', null, true]", "a == [1, 'x', null, true]"),
    ("\ta\n==\r\n1 ", "a == 1"),
  ])
  func canonicalText(text: String, canonical: String) throws {
    let filter = try Filter(parsing: text)
    #expect(filter.description == canonical)
    #expect(try Filter(parsing: canonical) == filter)
  }

  @Test func everyFilterSurvivesItsText() throws {
    var generator = MetadataGenerator(seed: 5)
    for _ in 0..<20_000 {
      let filter = generator.filter()
      #expect(try Filter(parsing: filter.description) == filter, "\(filter)")
    }
  }

  @Test(arguments: [
    ("", 1, "expected a field name, found the end"),
    ("year >= ", 9, "expected a value after >=, found the end"),
    ("year >= and", 9, "expected a value after >=, found and"),
    ("lang == de", 9, "expected a value after == (text is quoted), found de"),
    ("year", 5, "expected a comparison, \"in\" or \"contains\" after year, found the end"),
    ("'year' == 1", 1, "expected a field name, found 'year'"),
    ("2020 == year", 1, "expected a field name, found 2020"),
    ("a == 1 b == 2", 8, "expected \"and\", \"or\" or the end, found b"),
    ("(a == 1", 8, "expected \"and\", \"or\" or ')', found the end"),
    ("a == 1)", 7, "expected \"and\", \"or\" or the end, found )"),
    ("a in 1", 6, "expected '(' after \"in\", found 1"),
    ("a in (1, ", 10, "expected a value, found the end"),
    ("a in (1 2)", 9, "expected ',' or ')', found 2"),
    ("a == [1", 8, "expected ',' or ']', found the end"),
    ("a == [[1]]", 7, "expected a value, found ["),
    ("a == 'x", 6, "expected a closing '"),
    ("a == 2020-01-31", 6, "2020-01-31 is not a number; text belongs in quotes"),
    ("a == 01", 6, "01 is not a number; text belongs in quotes"),
    ("a == 1e999", 6, "1e999 is not a number; text belongs in quotes"),
    (
      "a in (1, 9223372036854775808)", 10,
      "the integer 9223372036854775808 does not fit 64 bits; write it in quotes, or with a point if a "
        + "double will do"
    ),
    ("a ~ 1", 3, "unexpected character '~'"),
    (".x == 1", 1, "unexpected character '.'"),
    ("a.b$ == 1", 4, "unexpected character '$'"),
    ("größe # 1", 7, "unexpected character '#'"),
    ("a\u{A0}== 1", 2, "unexpected character U+A0"),
    ("exists a", 8, "expected '(' after \"exists\", found a"),
    ("exists()", 8, "expected a field name, found )"),
    ("a < null", 5, "null has no order to compare by with <"),
    ("a >= [1]", 6, "an array has no order to compare by with >="),
    ("a contains [1]", 12, "expected one value after \"contains\", found ["),
    ("\"\" == 1", 1, "expected a name of 1 to 256 bytes, found \"\""),
  ])
  func mistakes(text: String, column: Int, message: String) {
    do {
      _ = try Filter(parsing: text)
      Issue.record("\(text) was read")
    } catch let error as VecDBError {
      #expect(error.code == .invalidArgument)
      #expect(error.message == message)
      #expect(error.location == "column \(column) of the filter")
    } catch { Issue.record("\(error)") }
  }

  @Test func theWordThatNamesCannotBe() {
    do {
      _ = try Filter(parsing: "a == 1 and in == 2")
      Issue.record("was read")
    } catch {
      #expect("\(error)".contains("put \"in\" in double quotes"))
      #expect("\(error)".contains("column 12"))
    }
  }

  @Test func aCaretShowsThePlace() throws {
    let text = "größe > 1 and\n\tb ~ 2"
    do {
      _ = try Filter.parse(text)
      Issue.record("was read")
    } catch let error as FilterSyntaxError {
      #expect(error.marked(in: text) == " b ~ 2\n   ^")
    }
  }

  @Test func limits() throws {
    func code(_ text: String) -> VecDBError.Code? {
      do {
        _ = try Filter(parsing: text)
        return nil
      } catch let error as VecDBError { return error.code } catch { return nil }
    }
    let nested = String(repeating: "(", count: 64) + "a == 1" + String(repeating: ")", count: 64)
    #expect(code(nested) == .limitExceeded)
    #expect(code(String(nested.dropFirst().dropLast())) == nil)
    #expect(code(String(repeating: "(", count: 60_000)) == .limitExceeded)
    #expect(code(String(repeating: "not ", count: 16_000) + "a == 1") == .limitExceeded)
    #expect(code(String(repeating: " ", count: Filter.textSizeBytesMax) + "a") == .limitExceeded)
    #expect(code("a in (" + String(repeating: "1,", count: 30_000) + "1)") == nil)
  }

  /// Any text: a filter or an error, never a trap.
  @Test func survivesRubbish() {
    var generator = MetadataGenerator(seed: 99)
    let pieces = [
      "a", "year", " ", "==", "<", "'", "\"", "(", ")", "[", "]", ",", "in", "and", "or", "not ",
      "exists", "contains", "1", "-", "1e5", "null", "\u{301}", "é", "\u{0}", "!", "&", "`",
    ]
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...12, using: &generator)
      let text = (0..<count).map { _ in generator.pick(pieces) }.joined()
      guard let filter = try? Filter(parsing: text) else { continue }
      #expect((try? Filter(parsing: filter.description)) == filter, "\(text)")
    }
  }
}
