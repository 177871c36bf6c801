/* bench_report — the tables of bench_compress as text, JSON and a plot. */
#include <math.h>
#include <string.h>

#include "replicator/bench/bench_compress.h"

static const char *heat(const struct bench_table *t)
{
    return t->is_cold ? "cold" : "hot";
}

static void print_one(const struct bench_table *t, FILE *to, const char *what, size_t value,
                      size_t to_memcpy)
{
    fprintf(to, "\n%s, %s, %u thread%s: GB/s of pages (x %s)\n%-22s", what, heat(t), t->threads,
            t->threads == 1 ? "" : "s", t->threads == 1 ? "memcpy" : "one thread", "");
    for (size_t i = 0; i < t->load_count; i++)
        fprintf(to, " %13.13s", t->loads[i]);
    for (size_t r = 0; r < t->row_count; r++) {
        fprintf(to, "\n%-22s", t->rows[r]);
        for (size_t i = 0; i < t->load_count; i++) {
            const char *f = (const char *)&t->at[i][r];
            double speed, ratio;

            memcpy(&speed, f + value, sizeof(speed));
            memcpy(&ratio, f + to_memcpy, sizeof(ratio));
            fprintf(to, " %6.2f (%4.2f)", speed, ratio);
        }
    }
    fputc('\n', to);
}

void bench_print(const struct bench_table *t, FILE *to)
{
    print_one(t, to, "encode", offsetof(struct bench_figure, encode),
              offsetof(struct bench_figure, encode_to_base));
    print_one(t, to, "decode and apply", offsetof(struct bench_figure, decode),
              offsetof(struct bench_figure, decode_to_base));
    if (t->threads > 1)
        fprintf(to, "arithmetic by %u threads in the same run: x %.2f\n", t->threads, t->probe_gain);
    if (!t->is_cold || t->threads > 1)
        return;
    fprintf(to, "\noctets out by octets in\n%-22s", "");
    for (size_t i = 0; i < t->load_count; i++)
        fprintf(to, " %13.13s", t->loads[i]);
    for (size_t r = 0; r < t->row_count; r++) {
        fprintf(to, "\n%-22s", t->rows[r]);
        for (size_t i = 0; i < t->load_count; i++)
            fprintf(to, " %13.4f", t->at[i][r].ratio);
    }
    fputc('\n', to);
}

void bench_json(const struct bench_table *t, FILE *to)
{
    const char *base = t->threads == 1 ? "memcpy" : "one_thread";

    fprintf(to, "{\"caches\": \"%s\", \"threads\": %u, \"probe_gain\": %.3f, \"loads\": [", heat(t),
            t->threads, t->probe_gain);
    for (size_t i = 0; i < t->load_count; i++) {
        fprintf(to, "%s\n  {\"load\": \"%s\", \"rows\": [", i ? "," : "", t->loads[i]);
        for (size_t r = 0; r < t->row_count; r++) {
            const struct bench_figure *f = &t->at[i][r];

            fprintf(to, "%s\n    {\"row\": \"%s\", \"encode_gb_s\": %.3f, \"encode_to_%s\": %.3f, "
                    "\"decode_gb_s\": %.3f, \"decode_to_%s\": %.3f, \"ratio\": %.6f}",
                    r ? "," : "", t->rows[r], f->encode, base, f->encode_to_base, f->decode, base,
                    f->decode_to_base, f->ratio);
        }
        fputs("]}", to);
    }
    fputs("]}", to);
}

/* ---- the plot */

#define COLUMNS  4u
#define PLOT     230.0
#define MARGIN   46.0
#define LEGEND   190.0
#define RATIO_LG 4.0 /* ratios from 10^-4 to 1 */
#define SPEED_LO (-2.0)
#define SPEED_HI 2.0 /* 0.01 to 100 GB/s */

static double within(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static void svg_mark(FILE *to, size_t row, double x, double y)
{
    double hue = (double)(row * 137 % 360);

    fprintf(to, "<circle cx='%.1f' cy='%.1f' r='5' fill='hsl(%.0f,70%%,45%%)' fill-opacity='0.8'/>"
            "<text x='%.1f' y='%.1f' font-size='7' fill='white' text-anchor='middle'>%zu</text>\n",
            x, y, hue, x, y + 2.5, row);
}

static void svg_axes(FILE *to, double left, double top, const char *title)
{
    fprintf(to, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='none' stroke='#888'/>\n"
            "<text x='%.1f' y='%.1f' font-size='12' font-weight='bold'>%s</text>\n",
            left, top, PLOT, PLOT, left, top - 5, title);
    for (double lg = -RATIO_LG; lg <= 0; lg++) {
        double x = left + PLOT * (lg + RATIO_LG) / RATIO_LG;

        fprintf(to, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#ddd'/>"
                "<text x='%.1f' y='%.1f' font-size='9' text-anchor='middle'>%g</text>\n",
                x, x, top, top + PLOT, x, top + PLOT + 11, pow(10, lg));
    }
    for (double lg = SPEED_LO; lg <= SPEED_HI; lg++) {
        double y = top + PLOT * (SPEED_HI - lg) / (SPEED_HI - SPEED_LO);

        fprintf(to, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#ddd'/>"
                "<text x='%.1f' y='%.1f' font-size='9' text-anchor='end'>%g</text>\n",
                left, left + PLOT, y, y, left - 3, y + 3, pow(10, lg));
    }
}

void bench_svg(const struct bench_table *t, FILE *to)
{
    size_t down = (t->load_count + COLUMNS - 1) / COLUMNS;
    double width = COLUMNS * (PLOT + MARGIN) + LEGEND, height = (double)down * (PLOT + MARGIN) + MARGIN;

    fprintf(to, "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' "
            "font-family='sans-serif'>\n<rect width='100%%' height='100%%' fill='white'/>\n"
            "<text x='%.1f' y='16' font-size='13'>Encoding, %s, %u thread(s): GB/s of pages (up) against "
            "octets out by octets in (left is smaller; 0.0001 and less at the edge)</text>\n",
            width, height, MARGIN, heat(t), t->threads);
    for (size_t i = 0; i < t->load_count; i++) {
        double left = MARGIN + (double)(i % COLUMNS) * (PLOT + MARGIN);
        double top = MARGIN + (double)(i / COLUMNS) * (PLOT + MARGIN);

        svg_axes(to, left, top, t->loads[i]);
        for (size_t r = 0; r < t->row_count; r++) {
            double ratio = within(log10(t->at[i][r].ratio + 1e-9), -RATIO_LG, 0);
            double speed = within(log10(t->at[i][r].encode), SPEED_LO, SPEED_HI);

            svg_mark(to, r, left + PLOT * (ratio + RATIO_LG) / RATIO_LG,
                     top + PLOT * (SPEED_HI - speed) / (SPEED_HI - SPEED_LO));
        }
    }
    for (size_t r = 0; r < t->row_count; r++) {
        double x = COLUMNS * (PLOT + MARGIN) + MARGIN, y = MARGIN + (double)r * 16;

        svg_mark(to, r, x, y);
        fprintf(to, "<text x='%.1f' y='%.1f' font-size='11'>%s</text>\n", x + 10, y + 4, t->rows[r]);
    }
    fputs("</svg>\n", to);
}
